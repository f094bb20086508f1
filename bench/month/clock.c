/* A wall clock that is off by as much as a file says, for every process that is started with it (LD_PRELOAD).

   The file that MONTH_CLOCK names holds the nanoseconds to add, a signed integer of 64 bits. It is mapped, so that all
   processes have the same time at every moment, also after a jump. As on a real machine whose clock is set, monotonic
   clocks go on as they were; so a wait until a wall-clock time is handed to the system in its own time. What a file
   system notes of its files stays the system's. */

#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#define SECOND 1000000000LL
#define WALL_CLOCK_FROM 1000000000LL /* seconds: a monotonic deadline is the machine's uptime, which is less */

static const volatile int64_t *ahead;

__attribute__((constructor)) static void open_clock(void) {
    const char *path = getenv("MONTH_CLOCK");
    int file = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    void *mapped = file < 0 ? MAP_FAILED : mmap(NULL, sizeof(int64_t), PROT_READ, MAP_SHARED, file, 0);
    if (mapped == MAP_FAILED) {
        /* a process with another clock than the rest would show nothing, and not say so */
        fputs("MONTH_CLOCK names no clock\n", stderr);
        abort();
    }
    close(file);
    ahead = mapped;
}

static struct timespec move(struct timespec from, int64_t by) {
    int64_t seconds = by / SECOND, rest = from.tv_nsec + by % SECOND;
    if (rest < 0 || rest >= SECOND) {
        int64_t carried = rest < 0 ? -1 : 1;
        seconds += carried;
        rest -= carried * SECOND;
    }
    return (struct timespec){.tv_sec = from.tv_sec + seconds, .tv_nsec = rest};
}

static struct timespec to_system(const struct timespec *told) {
    return told->tv_sec < WALL_CLOCK_FROM ? *told : move(*told, ahead ? -*ahead : 0);
}

int clock_gettime(clockid_t clock, struct timespec *now) {
    if (syscall(SYS_clock_gettime, clock, now)) return -1;
    if (ahead && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE)) *now = move(*now, *ahead);
    return 0;
}

int gettimeofday(struct timeval *restrict now, void *restrict zone) {
    (void)zone;
    struct timespec exact;
    if (clock_gettime(CLOCK_REALTIME, &exact)) return -1;
    *now = (struct timeval){.tv_sec = exact.tv_sec, .tv_usec = exact.tv_nsec / 1000};
    return 0;
}

time_t time(time_t *kept) {
    struct timespec now;
    if (clock_gettime(CLOCK_REALTIME, &now)) return -1;
    if (kept) *kept = now.tv_sec;
    return now.tv_sec;
}

int timespec_get(struct timespec *now, int base) {
    return base == TIME_UTC && !clock_gettime(CLOCK_REALTIME, now) ? base : 0;
}

int clock_nanosleep(clockid_t clock, int flags, const struct timespec *until, struct timespec *left) {
    struct timespec moved = flags & TIMER_ABSTIME && clock == CLOCK_REALTIME ? to_system(until) : *until;
    return syscall(SYS_clock_nanosleep, clock, flags, &moved, left) ? errno : 0;
}

#define NEXT(name, version) (dlvsym(RTLD_NEXT, name, version) ?: dlsym(RTLD_NEXT, name))

int sem_timedwait(sem_t *restrict semaphore, const struct timespec *restrict until) {
    static int (*next)(sem_t *, const struct timespec *);
    if (!next) next = NEXT("sem_timedwait", "GLIBC_2.34");
    struct timespec moved = to_system(until);
    return next(semaphore, &moved);
}

int pthread_mutex_timedlock(pthread_mutex_t *restrict mutex, const struct timespec *restrict until) {
    static int (*next)(pthread_mutex_t *, const struct timespec *);
    if (!next) next = NEXT("pthread_mutex_timedlock", "GLIBC_2.34");
    struct timespec moved = to_system(until);
    return next(mutex, &moved);
}

int pthread_cond_timedwait(pthread_cond_t *restrict condition, pthread_mutex_t *restrict mutex,
                           const struct timespec *restrict until) {
    static int (*next)(pthread_cond_t *, pthread_mutex_t *, const struct timespec *);
    if (!next) next = NEXT("pthread_cond_timedwait", "GLIBC_2.3.2");
    struct timespec moved = to_system(until);
    return next(condition, mutex, &moved);
}
