/* The only source of randomness. rand_u64 is fast and per thread (xoshiro, seeded from the kernel);
   rand_secret is for anything an attacker must not guess. rand_seed makes both repeat in tests. */
#pragma once
#include "base/base.h"

uint64_t rand_u64(void);
uint32_t rand_below(uint32_t n); /* uniform in [0, n); 0 when n is 0 */
void rand_secret(void *out, size_t n);
void rand_seed(uint64_t seed); /* tests only: this thread */
/* UUIDv7 (RFC 9562) as 36 characters, no NUL. wall_ns from clock_wall. */
void rand_uuid7(int64_t wall_ns, char out[36]);
