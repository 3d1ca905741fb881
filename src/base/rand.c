/* Randomness: xoshiro256** per thread, seeded by the kernel; the kernel itself for secrets. */
#include "base/rand.h"
#include <errno.h>
#include <sys/random.h>

static _Thread_local uint64_t state[4];
static _Thread_local bool seeded, repeatable;

static void from_kernel(void *out, size_t n)
{
    char *p = out;
    while (n > 0) {
        ssize_t got = getrandom(p, n, 0);
        if (got < 0 && errno == EINTR)
            continue;
        CHECK(got > 0);
        p += got;
        n -= (size_t)got;
    }
}

static inline uint64_t rotate(uint64_t x, int k)
{
    return x << k | x >> (64 - k);
}

uint64_t rand_u64(void)
{
    if (UNLIKELY(!seeded)) {
        from_kernel(state, sizeof(state));
        seeded = true;
    }
    uint64_t r = rotate(state[1] * 5, 7) * 9, t = state[1] << 17;
    state[2] ^= state[0];
    state[3] ^= state[1];
    state[1] ^= state[2];
    state[0] ^= state[3];
    state[2] ^= t;
    state[3] = rotate(state[3], 45);
    return r;
}

uint32_t rand_below(uint32_t n)
{
    if (n == 0)
        return 0;
    uint64_t m = (rand_u64() >> 32) * n;
    if ((uint32_t)m < n) {
        uint32_t unfair = -n % n;
        while ((uint32_t)m < unfair)
            m = (rand_u64() >> 32) * n;
    }
    return (uint32_t)(m >> 32);
}

void rand_secret(void *out, size_t n)
{
    if (!repeatable) {
        from_kernel(out, n);
        return;
    }
    for (size_t i = 0; i < n; i++)
        ((unsigned char *)out)[i] = (unsigned char)(rand_u64() >> 56);
}

void rand_seed(uint64_t seed)
{
    seeded = repeatable = true;
    for (int i = 0; i < 4; i++) { /* splitmix64 */
        uint64_t z = seed += 0x9e3779b97f4a7c15ULL;
        z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ULL;
        z = (z ^ z >> 27) * 0x94d049bb133111ebULL;
        state[i] = z ^ z >> 31;
    }
}

void rand_uuid7(int64_t wall_ns, char out[36])
{
    static const char hex[] = "0123456789abcdef";
    uint64_t ms = (uint64_t)(wall_ns / NS_PER_MS), a = rand_u64(), b = rand_u64();
    uint64_t high = ms << 16 | 0x7000 | (a & 0xfff),
             low = (b & 0x3fffffffffffffffULL) | 0x8000000000000000ULL;
    char *at = out;
    for (int i = 0; i < 32; i++) {
        if (i == 8 || i == 12 || i == 16 || i == 20)
            *at++ = '-';
        uint64_t v = i < 16 ? high : low;
        *at++ = hex[v >> (60 - 4 * (i & 15)) & 15];
    }
}
