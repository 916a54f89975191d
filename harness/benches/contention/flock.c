/* The bare loop in C, to hold `flockwork bench` against: N processes that take one flock and give it back.
 *
 *   flock FILE PROCESSES SECONDS [kept|opened]
 *
 * Each process is forked before it opens the file, so that none inherits another's descriptor: such processes would
 * share one lock and never exclude each other. Prints acquisitions a second, all together and each, on one line. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

struct shared {
    atomic_int ready, go, stop;
    atomic_long holder, overlaps;
    struct { _Alignas(64) atomic_long count; } each[];
};

static void fail(const char *what) {
    fprintf(stderr, "flock: %s: %s\n", what, strerror(errno));
    _exit(1);
}

static int open_lock(const char *path) {
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0) fail(path);
    return fd;
}

static void work(struct shared *shared, int process, const char *path, int opened) {
    int fd = opened ? -1 : open_lock(path);
    long count = 0;
    atomic_fetch_add(&shared->ready, 1);
    while (!atomic_load(&shared->go)) usleep(100);
    while (!atomic_load_explicit(&shared->stop, memory_order_relaxed)) {
        if (opened) fd = open_lock(path);
        while (flock(fd, LOCK_EX) != 0)
            if (errno != EINTR) fail("flock");
        if (atomic_exchange_explicit(&shared->holder, process + 1, memory_order_relaxed) != 0)
            atomic_fetch_add(&shared->overlaps, 1);
        atomic_store_explicit(&shared->holder, 0, memory_order_relaxed);
        if (flock(fd, LOCK_UN) != 0) fail("unlock");
        if (opened) close(fd);
        atomic_store_explicit(&shared->each[process].count, ++count, memory_order_relaxed);
    }
    _exit(0);
}

int main(int argc, char **argv) {
    int processes = argc > 2 ? atoi(argv[2]) : 0;
    double seconds = argc > 3 ? atof(argv[3]) : 0;
    if (processes < 1 || seconds <= 0) {
        fprintf(stderr, "usage: flock FILE PROCESSES SECONDS [kept|opened]\n");
        return 2;
    }
    int opened = argc > 4 && strcmp(argv[4], "opened") == 0;
    size_t bytes = sizeof(struct shared) + processes * sizeof(((struct shared *)0)->each[0]);
    struct shared *shared = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (shared == MAP_FAILED) fail("mmap");
    for (int process = 0; process < processes; process++) {
        pid_t pid = fork();
        if (pid < 0) fail("fork");
        if (pid == 0) work(shared, process, argv[1], opened);
    }
    while (atomic_load(&shared->ready) < processes) usleep(100);
    struct timespec begin, end, left = { (time_t)seconds, (long)((seconds - (time_t)seconds) * 1e9) };
    clock_gettime(CLOCK_MONOTONIC, &begin);
    atomic_store(&shared->go, 1);
    nanosleep(&left, NULL);
    long total = 0, counts[processes];
    clock_gettime(CLOCK_MONOTONIC, &end);
    for (int process = 0; process < processes; process++) total += counts[process] = atomic_load(&shared->each[process].count);
    atomic_store(&shared->stop, 1);
    while (wait(NULL) > 0) {}
    double lasted = (end.tv_sec - begin.tv_sec) + (end.tv_nsec - begin.tv_nsec) / 1e9;
    printf("%.0f acquisitions/s, %ld overlaps; each:", total / lasted, atomic_load(&shared->overlaps));
    for (int process = 0; process < processes; process++) printf(" %.0f", counts[process] / lasted);
    printf("\n");
    return 0;
}
