/* A clock that a test can set: libc's, plus the seconds that stand in the file $STEPPED_BY.

   Preloaded (LD_PRELOAD) it moves the time of day of a process, and nothing else: timers go by the
   monotonic clock. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <time.h>

static const volatile int64_t *stepped_by_s;
static int (*libc_clock_gettime)(clockid_t, struct timespec *);

__attribute__((constructor)) static void prepare(void) {
    const char *path = getenv("STEPPED_BY");
    int file = path ? open(path, O_RDONLY) : -1;
    void *found = file < 0 ? MAP_FAILED : mmap(NULL, sizeof(int64_t), PROT_READ, MAP_SHARED, file, 0);
    libc_clock_gettime = dlsym(RTLD_NEXT, "clock_gettime");
    if (found != MAP_FAILED)
        stepped_by_s = found;
}

int clock_gettime(clockid_t id, struct timespec *now) {
    if (!libc_clock_gettime)
        prepare();
    int failed = libc_clock_gettime(id, now);
    if (!failed && stepped_by_s && (id == CLOCK_REALTIME || id == CLOCK_REALTIME_COARSE))
        now->tv_sec += *stepped_by_s;
    return failed;
}

int gettimeofday(struct timeval *restrict now, void *restrict zone) {
    (void)zone;
    struct timespec precise;
    int failed = clock_gettime(CLOCK_REALTIME, &precise);
    now->tv_sec = precise.tv_sec;
    now->tv_usec = precise.tv_nsec / 1000;
    return failed;
}

time_t time(time_t *result) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    if (result)
        *result = now.tv_sec;
    return now.tv_sec;
}
