/* Time: the kernel's, or a virtual one that tests move by hand. Any thread. */
#include "base/clock.h"
#include <stdatomic.h>
#include <stdio.h>
#include <time.h>

static atomic_bool is_virtual;
static _Atomic int64_t virtual_mono, virtual_wall;

static int64_t now(clockid_t id)
{
    struct timespec ts;
    clock_gettime(id, &ts);
    return ts.tv_sec * NS_PER_S + ts.tv_nsec;
}

int64_t clock_mono(void)
{
    return UNLIKELY(atomic_load_explicit(&is_virtual, memory_order_relaxed)) ? virtual_mono
                                                                             : now(CLOCK_MONOTONIC);
}

int64_t clock_wall(void)
{
    return UNLIKELY(atomic_load_explicit(&is_virtual, memory_order_relaxed)) ? virtual_wall
                                                                             : now(CLOCK_REALTIME);
}

int64_t clock_thread(pthread_t thread)
{
    clockid_t id;
    return pthread_getcpuclockid(thread, &id) == 0 ? now(id) : -1;
}

void clock_set_virtual(int64_t mono_ns, int64_t wall_ns)
{
    virtual_mono = mono_ns;
    virtual_wall = wall_ns;
    is_virtual = true;
}

void clock_advance(struct dur d)
{
    virtual_mono += d.ns;
    virtual_wall += d.ns;
}

void clock_set_real(void)
{
    is_virtual = false;
}

struct civil {
    int64_t year;
    unsigned month, day, weekday, hour, minute, second;
};

/* Days to a date in the proleptic Gregorian calendar, counting years from March so that the leap
 * day is the last. */
static struct civil civil_of(int64_t seconds)
{
    int64_t days = seconds / 86400, rest = seconds % 86400;
    if (rest < 0) {
        rest += 86400;
        days--;
    }
    int64_t z = days + 719468, era = (z >= 0 ? z : z - 146096) / 146097;
    unsigned doe = (unsigned)(z - era * 146097);
    unsigned yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
    unsigned doy = doe - (365 * yoe + yoe / 4 - yoe / 100), mp = (5 * doy + 2) / 153;
    struct civil c = { .day = doy - (153 * mp + 2) / 5 + 1, .month = mp < 10 ? mp + 3 : mp - 9 };
    c.year = (int64_t)yoe + era * 400 + (c.month <= 2);
    c.weekday = (unsigned)(((days % 7) + 11) % 7); /* 1970-01-01 was a Thursday (4) */
    c.hour = (unsigned)(rest / 3600);
    c.minute = (unsigned)(rest / 60 % 60);
    c.second = (unsigned)(rest % 60);
    return c;
}

/* Seconds and nanoseconds, the latter never negative. */
static int64_t split(int64_t wall_ns, int64_t *ret_ns)
{
    int64_t s = wall_ns / NS_PER_S, ns = wall_ns % NS_PER_S;
    if (ns < 0) {
        ns += NS_PER_S;
        s--;
    }
    *ret_ns = ns;
    return s;
}

static char *digits(char *at, unsigned v, unsigned width)
{
    for (unsigned i = width; i-- > 0; v /= 10)
        at[i] = (char)('0' + v % 10);
    return at + width;
}

size_t clock_format_utc(int64_t wall_ns, char out[32])
{
    int64_t ns;
    struct civil c = civil_of(split(wall_ns, &ns));
    char *at = digits(out, (unsigned)c.year, 4);
    *at++ = '-';
    at = digits(at, c.month, 2);
    *at++ = '-';
    at = digits(at, c.day, 2);
    *at++ = 'T';
    at = digits(at, c.hour, 2);
    *at++ = ':';
    at = digits(at, c.minute, 2);
    *at++ = ':';
    at = digits(at, c.second, 2);
    *at++ = '.';
    at = digits(at, (unsigned)(ns / NS_PER_US), 6);
    *at++ = 'Z';
    *at = 0;
    return (size_t)(at - out);
}

void clock_format_http(int64_t wall_ns, char out[32])
{
    static const char day[] = "SunMonTueWedThuFriSat",
                      month[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
    int64_t ns;
    struct civil c = civil_of(split(wall_ns, &ns));
    memcpy(out, day + c.weekday * 3, 3);
    memcpy(out + 3, ", ", 2);
    digits(out + 5, c.day, 2);
    out[7] = ' ';
    memcpy(out + 8, month + (c.month - 1) * 3, 3);
    out[11] = ' ';
    digits(out + 12, (unsigned)c.year, 4);
    out[16] = ' ';
    digits(out + 17, c.hour, 2);
    out[19] = ':';
    digits(out + 20, c.minute, 2);
    out[22] = ':';
    digits(out + 23, c.second, 2);
    memcpy(out + 25, " GMT", 5);
}
