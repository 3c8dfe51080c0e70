"""A thread that hangs holds neither its pool's end nor the process's."""

from __future__ import annotations

from threading import Event

from twisted.python.threadpool import ThreadPool

from cryptodash.daemon_threads import use_daemon_threads


def test_a_pool_stops_although_a_thread_hangs_and_its_result_is_lost() -> None:
    pool, begun, released, results = ThreadPool(0, 2), Event(), Event(), []
    use_daemon_threads(pool)
    pool.start()

    def hang() -> None:
        begun.set()
        released.wait(30)

    pool.callInThreadWithCallback(lambda *result: results.append(result), hang)
    assert begun.wait(5)
    pool.stop()
    assert results == []
    (thread,) = pool.threads
    assert thread.daemon and thread.is_alive(), "the interpreter does not wait for it"
    released.set()
    thread.join(5)


def test_an_idle_pool_ends_its_threads() -> None:
    pool, done = ThreadPool(0, 2), Event()
    use_daemon_threads(pool)
    pool.start()
    pool.callInThread(done.set)
    assert done.wait(5)
    pool.stop()
    for thread in pool.threads:
        thread.join(5)
        assert not thread.is_alive()
