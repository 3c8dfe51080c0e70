/* A disk that fails, and a wall clock that is set, for a real process: cc -shared -fPIC -o failing_disk.so failing_disk.c -ldl,
 * then LD_PRELOAD it. Only files whose names end in ".tape" are met, and directories below a "writer-" one.
 *
 * FAULT_FILE names a file of lines "WHAT NUMBER", read again for each call that may fail:
 *   write E        writing fails with errno E
 *   half E         the same, after half of it was written
 *   short N        at most N bytes are written at a time, which is no error
 *   sync E         fsync and fdatasync fail with errno E, and what was not synced is lost, as a kernel loses it
 *   once E         the same once: each later sync says that all is well
 *   open E         no file can be opened for writing, and no directory made
 *   free N         so many bytes are free on the disk
 *   clock S        the wall clock is S seconds off
 * SYNCED_FILE names a file that is told of each good sync, a line "PATH BYTES": the rest is what a loss of power may take.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define MOST 4096
#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

static char is_tape[MOST];
static off_t synced[MOST];
static int was_once;

/* The number behind a word in FAULT_FILE; -1 where it is not there. By system calls, for these are the functions. */
static long fault(const char *what) {
    const char *path = getenv("FAULT_FILE");
    char text[512], *line, *rest;
    if (path == NULL) return -1;
    long fd = syscall(SYS_openat, AT_FDCWD, path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return -1;
    long size = syscall(SYS_read, fd, text, sizeof text - 1);
    syscall(SYS_close, fd);
    if (size <= 0) return -1;
    text[size] = 0;
    for (line = strtok_r(text, "\n", &rest); line != NULL; line = strtok_r(NULL, "\n", &rest)) {
        size_t length = strlen(what);
        if (!strncmp(line, what, length) && line[length] == ' ') return atol(line + length + 1);
    }
    return -1;
}

static int ends_in_tape(const char *path) {
    size_t length = strlen(path);
    return length > 5 && !strcmp(path + length - 5, ".tape");
}

static int opened(int fd, const char *path, int flags) {
    if (fd >= 0 && fd < MOST) {
        is_tape[fd] = ends_in_tape(path) && (flags & O_ACCMODE) != O_RDONLY;
        synced[fd] = 0;
    }
    return fd;
}

static int may_open(const char *path, int flags) {
    long error = fault("open");
    if (error < 0 || !ends_in_tape(path) || (flags & O_ACCMODE) == O_RDONLY) return 1;
    errno = (int)error;
    return 0;
}

#define OPEN(name)                                                                   \
    int name(const char *path, int flags, ...) {                                     \
        va_list more;                                                                \
        va_start(more, flags);                                                       \
        mode_t mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(more, mode_t) : 0;      \
        va_end(more);                                                                \
        if (!may_open(path, flags)) return -1;                                       \
        return opened((int)syscall(SYS_openat, AT_FDCWD, path, flags, mode), path, flags); \
    }
#define OPENAT(name)                                                                 \
    int name(int at, const char *path, int flags, ...) {                             \
        va_list more;                                                                \
        va_start(more, flags);                                                       \
        mode_t mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(more, mode_t) : 0;      \
        va_end(more);                                                                \
        if (!may_open(path, flags)) return -1;                                       \
        return opened((int)syscall(SYS_openat, at, path, flags, mode), path, flags); \
    }
OPEN(open) OPEN(open64) OPENAT(openat) OPENAT(openat64)

int mkdir(const char *path, mode_t mode) {
    long error = fault("open");
    if (error >= 0 && strstr(path, "writer-") != NULL) {
        errno = (int)error;
        return -1;
    }
    return (int)syscall(SYS_mkdirat, AT_FDCWD, path, mode);
}

int close(int fd) {
    if (fd >= 0 && fd < MOST) is_tape[fd] = 0;
    return (int)syscall(SYS_close, fd);
}

ssize_t write(int fd, const void *data, size_t size) {
    if (fd >= 0 && fd < MOST && is_tape[fd]) {
        long error = fault("write"), half = fault("half"), most = fault("short");
        if (half >= 0) syscall(SYS_write, fd, data, size / 2);
        if (error >= 0 || half >= 0) {
            errno = (int)(error >= 0 ? error : half);
            return -1;
        }
        if (most > 0 && size > (size_t)most) size = (size_t)most;
    }
    return syscall(SYS_write, fd, data, size);
}

static int sync_of(long call, int fd) {
    char path[64], name[1024], line[1200];
    struct stat status;
    if (fd < 0 || fd >= MOST || !is_tape[fd]) return (int)syscall(call, fd);
    long error = fault("sync"), once = was_once ? -1 : fault("once");
    if (error >= 0 || once >= 0) {
        was_once = once >= 0;
        syscall(SYS_ftruncate, fd, synced[fd]);
        errno = (int)(error >= 0 ? error : once);
        return -1;
    }
    int done = (int)syscall(call, fd);
    const char *told = getenv("SYNCED_FILE");
    if (done || fstat(fd, &status)) return done;
    synced[fd] = status.st_size;
    if (told == NULL) return done;
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(path, name, sizeof name - 1);
    if (length <= 0) return done;
    name[length] = 0;
    long to = syscall(SYS_openat, AT_FDCWD, told, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    if (to >= 0) {
        syscall(SYS_write, to, line, snprintf(line, sizeof line, "%s %lld\n", name, (long long)status.st_size));
        syscall(SYS_close, to);
    }
    return done;
}

int fsync(int fd) { return sync_of(SYS_fsync, fd); }
int fdatasync(int fd) { return sync_of(SYS_fdatasync, fd); }

int fstatvfs64(int fd, struct statvfs64 *found) {
    int done = REAL(fstatvfs64)(fd, found);
    long left = fault("free");
    if (!done && left >= 0) found->f_bavail = (fsblkcnt64_t)left / (found->f_frsize ? found->f_frsize : 1);
    return done;
}

int fstatvfs(int fd, struct statvfs *found) {
    int done = REAL(fstatvfs)(fd, found);
    long left = fault("free");
    if (!done && left >= 0) found->f_bavail = (fsblkcnt_t)left / (found->f_frsize ? found->f_frsize : 1);
    return done;
}

int clock_gettime(clockid_t clock, struct timespec *found) {
    static long asked, offset;
    int done = (int)syscall(SYS_clock_gettime, clock, found);
    if (!done && clock == CLOCK_REALTIME) {
        if (asked != found->tv_sec) { /* once a second: this is asked for all the time */
            long said = fault("clock");
            asked = found->tv_sec;
            offset = said == -1 ? 0 : said;
        }
        found->tv_sec += offset;
    }
    return done;
}
