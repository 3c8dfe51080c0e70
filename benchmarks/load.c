/* The load generator: many WebSocket clients in one process, one epoll loop.
 *
 *     load HOST PORT PATH CLIENTS SUBSCRIPTIONS SETUP_FRAMES KIND NUMBER STAMP CREDIT_PORT SAMPLE STALLED
 *
 * Client i sends line i (modulo the lines) of the file SUBSCRIPTIONS once it is open (a carriage return in it stands for a line feed), and is ready
 * after SETUP_FRAMES messages. A frame is a message, or several, a line each. Measured are those that start with KIND. Every SAMPLE-th client checks the order: the number after NUMBER must grow by one per symbol (the text after
 * "base":"). STAMP ("-": none) precedes the nanoseconds (CLOCK_MONOTONIC) at which the frame's event was sent. Every so many frames the total goes
 * by UDP to CREDIT_PORT (0: no). The first STALLED clients stop reading once they are ready.
 *
 * Commands on stdin, one answer (a line of JSON) each on stdout: "begin", "expect N" (answers when N frames came, or nothing more comes),
 * "handshakes N CONCURRENCY", "quit". load.py is the same in Python.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { CONNECTING, UPGRADING, OPEN, DEAD };
enum { BUFFER = 1 << 20, SLOTS = 32768, BUCKETS = 1 << 16, OPENING_AT_ONCE = 128, PATIENCE_MS = 4000 };

typedef struct { uint64_t name; long long last; } Track;
typedef struct {
    int fd, state, index, setup;
    long long frames;
    char *rest;
    size_t rest_size;
    Track *tracks; /* of a sampled client: an open hash table */
} Client;

static struct sockaddr_in server, credit_to;
static const char *path, *kind, *number, *stamp;
static size_t kind_size, number_size, stamp_size;
static int epoll_fd, credit_fd = -1, clients, setup_frames, sample, stalled, ready, opened, dead;
static char **subscriptions;
static int subscription_count;
static char buffer[BUFFER];
static long long total, other, disorder, unstamped, last_credit, credit_step, bytes, first_ns, last_ns, active_ns;
static uint32_t latency[BUCKETS]; /* 1 us up to 32 ms, then 64 us: see bucket_of */

static long long now_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000000000LL + t.tv_nsec;
}

static int bucket_of(long long us) {
    if (us < 0) us = 0;
    long long bucket = us < 32768 ? us : 32768 + (us - 32768) / 64;
    return bucket < BUCKETS ? (int)bucket : BUCKETS - 1;
}

static long long us_of(int bucket) { return bucket < 32768 ? bucket : 32768 + (bucket - 32768) * 64LL; }

static void fail(const char *what) {
    printf("{\"failed\":\"%s: %s\"}\n", what, strerror(errno));
    fflush(stdout);
    exit(1);
}

static void watch(Client *c, uint32_t events, int operation) {
    struct epoll_event event = {.events = events, .data.ptr = c};
    if (epoll_ctl(epoll_fd, operation, c->fd, &event)) fail("epoll_ctl");
}

static void start(Client *c, int small) {
    c->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    if (c->fd < 0) fail("socket");
    int one = 1, size = 4096;
    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    if (small) setsockopt(c->fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof size);
    c->state = CONNECTING;
    if (connect(c->fd, (struct sockaddr *)&server, sizeof server) && errno != EINPROGRESS) fail("connect");
    watch(c, EPOLLOUT, EPOLL_CTL_ADD);
}

static void put(Client *c, const char *data, size_t size) {
    while (size) {
        ssize_t sent = write(c->fd, data, size);
        if (sent < 0 && errno != EAGAIN) fail("write");
        if (sent < 0) usleep(100);
        else data += sent, size -= (size_t)sent;
    }
}

static void send_frame(Client *c, int opcode, const char *text, size_t size) {
    char *frame = malloc(size + 14);
    size_t at = 0;
    frame[at++] = (char)(0x80 | opcode);
    if (size < 126) frame[at++] = (char)(0x80 | size);
    else if (size < 65536) { frame[at++] = (char)(0x80 | 126); frame[at++] = (char)(size >> 8); frame[at++] = (char)size; }
    else { frame[at++] = (char)(0x80 | 127); for (int i = 7; i >= 0; i--) frame[at++] = (char)((uint64_t)size >> (8 * i)); }
    memset(frame + at, 0, 4); /* a mask of zeros: the payload stays as it is */
    memcpy(frame + at + 4, text, size);
    put(c, frame, at + 4 + size);
    free(frame);
}

static void upgrade(Client *c) {
    char request[512];
    int size = snprintf(request, sizeof request,
                        "GET %s HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n",
                        path, ntohs(server.sin_port));
    c->state = UPGRADING;
    watch(c, EPOLLIN, EPOLL_CTL_MOD);
    put(c, request, (size_t)size);
}

static long long number_at(const char *text, const char *end) {
    long long value = 0;
    for (; text < end && *text >= '0' && *text <= '9'; text++) value = value * 10 + (*text - '0');
    return value;
}

static void check_order(Client *c, const char *body, size_t size) {
    const char *found = memmem(body, size, number, number_size), *base = memmem(body, size, "\"base\":\"", 8);
    if (!found || !base) { disorder++; return; }
    long long value = number_at(found + number_size, body + size);
    uint64_t name = 1469598103934665603ULL;
    for (const char *p = base + 8; p < body + size && *p != '"'; p++) name = (name ^ (uint8_t)*p) * 1099511628211ULL;
    Track *t = c->tracks + name % SLOTS;
    while (t->name && t->name != name) t = t + 1 < c->tracks + SLOTS ? t + 1 : c->tracks;
    if (t->name && value != t->last + 1) disorder++;
    t->name = name;
    t->last = value;
}

static void give_credit(void) {
    char text[32];
    last_credit = total;
    int size = snprintf(text, sizeof text, "c %lld", total);
    sendto(credit_fd, text, (size_t)size, 0, (struct sockaddr *)&credit_to, sizeof credit_to);
}

static void take_message(Client *c, const char *body, size_t size, long long now) {
    if (c->setup < setup_frames) {
        if (++c->setup == setup_frames) {
            ready++;
            if (c->index < stalled) watch(c, 0, EPOLL_CTL_MOD);
        }
        return;
    }
    if (size < kind_size || memcmp(body, kind, kind_size)) { other++; return; }
    c->frames++;
    total++;
    if (c->tracks) check_order(c, body, size);
    if (stamp_size) {
        const char *at = memmem(body, size, stamp, stamp_size);
        if (at) latency[bucket_of((now - number_at(at + stamp_size, body + size)) / 1000)]++;
        else unstamped++;
    }
}

static void take_frame(Client *c, int opcode, const char *body, size_t size, long long now) {
    if (opcode == 9) { send_frame(c, 10, body, size); return; }
    if (opcode == 8) { dead++; c->state = DEAD; return; }
    for (const char *end = body + size, *line; (line = memchr(body, '\n', (size_t)(end - body))); body = line + 1, size = (size_t)(end - body))
        take_message(c, body, (size_t)(line - body), now);
    if (size) take_message(c, body, size, now);
}

static size_t frames_in(Client *c, const char *data, size_t size, long long now) {
    size_t at = 0;
    while (size - at >= 2 && c->state == OPEN) {
        uint64_t length = (uint8_t)data[at + 1] & 127;
        size_t header = 2;
        if (length == 126) {
            if (size - at < 4) break;
            length = (uint64_t)(uint8_t)data[at + 2] << 8 | (uint8_t)data[at + 3];
            header = 4;
        } else if (length == 127) {
            if (size - at < 10) break;
            length = 0;
            for (int i = 2; i < 10; i++) length = length << 8 | (uint8_t)data[at + i];
            header = 10;
        }
        if (length > BUFFER / 2) { errno = EMSGSIZE; fail("frame"); }
        if (size - at < header + length) break;
        take_frame(c, data[at] & 15, data + at + header, length, now);
        at += header + length;
    }
    return at;
}

static size_t finish_upgrade(Client *c, const char *data, size_t size) {
    const char *end = memmem(data, size, "\r\n\r\n", 4);
    if (!end) return 0;
    if (memcmp(data, "HTTP/1.1 101", 12) || !memmem(data, size, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=", 28)) { errno = EPROTO; fail("upgrade"); }
    c->state = OPEN;
    opened++;
    if (subscription_count) {
        const char *line = subscriptions[c->index % subscription_count];
        send_frame(c, 1, line, strlen(line));
    }
    if (!setup_frames) {
        ready++;
        if (c->index < stalled) watch(c, 0, EPOLL_CTL_MOD);
    }
    return (size_t)(end + 4 - data);
}

static void readable(Client *c) {
    memcpy(buffer, c->rest, c->rest_size);
    ssize_t got = read(c->fd, buffer + c->rest_size, BUFFER / 2);
    if (got < 0 && (errno == EAGAIN || errno == EINTR)) return;
    if (got <= 0) {
        dead++;
        c->state = DEAD;
        epoll_ctl(epoll_fd, EPOLL_CTL_DEL, c->fd, NULL);
        return;
    }
    long long now = now_ns(), before = total;
    active_ns = now;
    size_t size = c->rest_size + (size_t)got, used = 0;
    if (c->state == UPGRADING) used = finish_upgrade(c, buffer, size);
    if (c->state == OPEN) used += frames_in(c, buffer + used, size - used, now);
    if (total > before) {
        if (!first_ns) first_ns = now;
        last_ns = now;
        bytes += got;
    }
    size_t left = size - used;
    if (left > c->rest_size) c->rest = realloc(c->rest, left);
    c->rest_size = left;
    memcpy(c->rest, buffer + used, left);
    if (credit_fd >= 0 && total - last_credit >= credit_step) give_credit();
}

static void turn(int timeout) {
    struct epoll_event events[512];
    int count = epoll_wait(epoll_fd, events, 512, timeout);
    for (int i = 0; i < count; i++) {
        Client *c = events[i].data.ptr;
        if (!c) continue;
        if (c->state == CONNECTING) {
            int error = 0;
            socklen_t size = sizeof error;
            getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &error, &size);
            if (error) { errno = error; fail("connect"); }
            upgrade(c);
        } else readable(c);
    }
}

static void begin(Client *all) {
    total = other = disorder = unstamped = last_credit = bytes = first_ns = last_ns = 0;
    memset(latency, 0, sizeof latency);
    for (int i = 0; i < clients; i++) {
        all[i].frames = 0;
        if (all[i].tracks) memset(all[i].tracks, 0, SLOTS * sizeof(Track));
    }
    printf("{\"begun\":1}\n");
}

static long long percentile(double share) {
    long long count = 0, seen = 0;
    for (int i = 0; i < BUCKETS; i++) count += latency[i];
    for (int i = 0; i < BUCKETS; i++) {
        seen += latency[i];
        if (count && seen >= (long long)(share * (double)count + 0.999999)) return us_of(i);
    }
    return 0;
}

static void expect(Client *all, long long wanted) {
    active_ns = now_ns();
    while (total < wanted && now_ns() - active_ns < PATIENCE_MS * 1000000LL) turn(100);
    turn(20); /* what comes too much */
    long long least = -1, most = 0;
    for (int i = stalled; i < clients; i++) {
        if (least < 0 || all[i].frames < least) least = all[i].frames;
        if (all[i].frames > most) most = all[i].frames;
    }
    printf("{\"frames\":%lld,\"bytes\":%lld,\"seconds\":%.9f,\"least\":%lld,\"most\":%lld,\"disorder\":%lld,\"other\":%lld,\"unstamped\":%lld,"
           "\"dead\":%d,\"p50\":%lld,\"p99\":%lld,\"p999\":%lld}\n",
           total, bytes, (double)(last_ns - first_ns) / 1e9, least, most, disorder, other, unstamped, dead,
           percentile(0.5), percentile(0.99), percentile(0.999));
}

static void handshakes(long long count, int at_once) {
    Client *all = calloc((size_t)at_once, sizeof(Client));
    long long begun = now_ns(), started = 0, done = 0;
    subscription_count = 0;
    for (int i = 0; i < at_once && started < count; i++, started++) start(all + i, 0);
    while (done < count) {
        turn(1000);
        if (dead) { errno = ECONNRESET; fail("handshake"); }
        for (int i = 0; i < at_once; i++) {
            if (all[i].state != OPEN) continue;
            done++;
            close(all[i].fd);
            all[i].state = DEAD;
            all[i].rest_size = 0;
            if (started < count) { start(all + i, 0); started++; }
        }
    }
    printf("{\"handshakes\":%lld,\"seconds\":%.9f}\n", done, (double)(now_ns() - begun) / 1e9);
}

static void read_subscriptions(const char *file) {
    FILE *f = strcmp(file, "-") ? fopen(file, "r") : NULL;
    char *line = NULL;
    size_t room = 0;
    ssize_t size;
    while (f && (size = getline(&line, &room, f)) > 0) {
        if (line[size - 1] == '\n') line[size - 1] = 0;
        for (char *at = line; (at = strchr(at, '\r'));) *at = '\n';
        subscriptions = realloc(subscriptions, sizeof(char *) * (size_t)(subscription_count + 1));
        subscriptions[subscription_count++] = strdup(line);
    }
}

int main(int argc, char **argv) {
    if (argc != 13) { fprintf(stderr, "usage: see load.c\n"); return 2; }
    server.sin_family = credit_to.sin_family = AF_INET;
    server.sin_addr.s_addr = credit_to.sin_addr.s_addr = inet_addr(argv[1]);
    server.sin_port = htons((uint16_t)atoi(argv[2]));
    path = argv[3];
    clients = atoi(argv[4]);
    read_subscriptions(argv[5]);
    setup_frames = atoi(argv[6]);
    kind = argv[7];
    number = argv[8];
    stamp = strcmp(argv[9], "-") ? argv[9] : "";
    kind_size = strlen(kind), number_size = strlen(number), stamp_size = strlen(stamp);
    if (atoi(argv[10])) {
        credit_fd = socket(AF_INET, SOCK_DGRAM, 0);
        credit_to.sin_port = htons((uint16_t)atoi(argv[10]));
        credit_step = clients * 16LL;
    }
    sample = atoi(argv[11]);
    stalled = atoi(argv[12]);
    epoll_fd = epoll_create1(0);
    Client *all = calloc((size_t)clients + 1, sizeof(Client));
    long long begun = now_ns();
    for (int i = 0; i < clients;) {
        while (i < clients && i - opened < OPENING_AT_ONCE) {
            all[i].index = i;
            if (sample && i % sample == 0) all[i].tracks = calloc(SLOTS, sizeof(Track));
            start(all + i, i < stalled);
            i++;
        }
        turn(1000);
    }
    active_ns = now_ns();
    while (ready < clients && now_ns() - active_ns < 5 * PATIENCE_MS * 1000000LL) turn(100);
    printf("{\"ready\":%d,\"dead\":%d,\"seconds\":%.6f}\n", ready, dead, (double)(now_ns() - begun) / 1e9);
    fflush(stdout);

    struct epoll_event stdin_event = {.events = EPOLLIN, .data.ptr = NULL};
    epoll_ctl(epoll_fd, EPOLL_CTL_ADD, 0, &stdin_event);
    fcntl(0, F_SETFL, O_NONBLOCK);
    char text[128];
    for (;;) {
        ssize_t size = read(0, text, sizeof text - 1);
        if (size < 0) { turn(1000); continue; }
        if (size == 0) return 0;
        text[size] = 0;
        long long count;
        int at_once;
        if (!strncmp(text, "begin", 5)) begin(all);
        else if (sscanf(text, "expect %lld", &count) == 1) {
            epoll_ctl(epoll_fd, EPOLL_CTL_DEL, 0, NULL);
            expect(all, count);
            epoll_ctl(epoll_fd, EPOLL_CTL_ADD, 0, &stdin_event);
        } else if (sscanf(text, "handshakes %lld %d", &count, &at_once) == 2) {
            epoll_ctl(epoll_fd, EPOLL_CTL_DEL, 0, NULL);
            handshakes(count, at_once);
            epoll_ctl(epoll_fd, EPOLL_CTL_ADD, 0, &stdin_event);
        } else return 0;
        fflush(stdout);
    }
}
