/* SPDX-License-Identifier: BSD-2-Clause */
/* Small fast random numbers (xorshift64*), for balancing and jitter; never for secrets. */
#ifndef WI_BASE_RNG_H
#define WI_BASE_RNG_H

#include <stdint.h>

struct wi_rng {
	uint64_t state; /* never 0 */
};

static inline void wi_rng_seed(struct wi_rng *r, uint64_t seed)
{
	r->state = (seed ^ UINT64_C(0x9e3779b97f4a7c15)) | 1;
}

/* Vigna, "An experimental exploration of Marsaglia's xorshift generators, scrambled" (2016). */
static inline uint64_t wi_rng_next(struct wi_rng *r)
{
	uint64_t x = r->state;

	x ^= x >> 12;
	x ^= x << 25;
	x ^= x >> 27;
	r->state = x;
	return x * UINT64_C(2685821657736338717);
}

/*
 * A random number brought into [0, bound), bound > 0, uniformly (Lemire's multiply-shift; its bias
 * of 2^-32 does not matter here).
 */
static inline uint32_t wi_rng_scale(uint32_t random, uint32_t bound)
{
	return (uint32_t)((random * (uint64_t)bound) >> 32);
}

static inline uint32_t wi_rng_below(struct wi_rng *r, uint32_t bound)
{
	return wi_rng_scale((uint32_t)(wi_rng_next(r) >> 32), bound);
}

#endif
