/* Sets the clocks back.
 *
 *     ZO_CLOCK_BACK   seconds by which they go back
 *     ZO_CLOCK_AFTER  how long after the start the time of day does so; 0, the default: from the start on
 *
 * The monotonic clock goes back only between processes, as it does when a machine starts anew: it is
 * shifted from the start on, and never below a second. */
#include "shim.h"

#include <sys/time.h>
#include <time.h>

static double back, after;
static struct timespec begin;

static double number(const char *variable)
{
    const char *text = getenv(variable);
    return text ? atof(text) : 0;
}

__attribute__((constructor)) static void start(void)
{
    back = number("ZO_CLOCK_BACK");
    after = number("ZO_CLOCK_AFTER");
    REAL(clock_gettime)(CLOCK_MONOTONIC, &begin);
}

static double since_start(void)
{
    struct timespec t;
    REAL(clock_gettime)(CLOCK_MONOTONIC, &t);
    return (double)(t.tv_sec - begin.tv_sec) + 1e-9 * (double)(t.tv_nsec - begin.tv_nsec);
}

/* Whole seconds, so that fractions stay as they are. */
static time_t shift(clockid_t clock)
{
    bool day = clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE || clock == CLOCK_TAI;
    bool monotonic = clock == CLOCK_MONOTONIC || clock == CLOCK_MONOTONIC_COARSE ||
                     clock == CLOCK_MONOTONIC_RAW || clock == CLOCK_BOOTTIME;
    if (day) return since_start() >= after ? (time_t)back : 0;
    if (monotonic) return (time_t)back < begin.tv_sec ? (time_t)back : begin.tv_sec - 1;
    return 0;
}

SHIM int clock_gettime(clockid_t clock, struct timespec *out)
{
    int result = REAL(clock_gettime)(clock, out);
    if (!result) out->tv_sec -= shift(clock);
    return result;
}

SHIM int gettimeofday(struct timeval *restrict out, void *restrict zone)
{
    int result = REAL(gettimeofday)(out, zone);
    if (!result) out->tv_sec -= shift(CLOCK_REALTIME);
    return result;
}

SHIM time_t time(time_t *out)
{
    time_t t = REAL(time)(NULL) - shift(CLOCK_REALTIME);
    if (out) *out = t;
    return t;
}

SHIM int timespec_get(struct timespec *out, int base)
{
    int result = REAL(timespec_get)(out, base);
    if (result == TIME_UTC) out->tv_sec -= shift(CLOCK_REALTIME);
    return result;
}
