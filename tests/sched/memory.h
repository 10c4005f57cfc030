/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The modelled memory, as base/atomic.h of the scheduler's tests asks it. memory.c tells the model.
 */
#ifndef SCHED_MEMORY_H
#define SCHED_MEMORY_H

#include <stdbool.h>
#include <stdint.h>

/* Bits: SEQ has both halves. */
enum sched_order {
	SCHED_RLX = 0,
	SCHED_ACQ = 1,
	SCHED_REL = 2,
	SCHED_ACQ_REL = 3,
	SCHED_SEQ = 7,
};

enum sched_change { SCHED_SWAP, SCHED_ADD, SCHED_SUB, SCHED_OR, SCHED_AND };

/* Where an access stands in the source. */
struct sched_site {
	const char *file, *what;
	int line;
};

uint64_t sched_load(const volatile void *at, unsigned size, enum sched_order order,
                    const struct sched_site *site);
void sched_store(volatile void *at, unsigned size, uint64_t value, enum sched_order order,
                 const struct sched_site *site);
uint64_t sched_change(volatile void *at, unsigned size, enum sched_change how, uint64_t value,
                      enum sched_order order, const struct sched_site *site);
bool sched_cas(volatile void *at, unsigned size, uint64_t *was, uint64_t value,
               enum sched_order order, const struct sched_site *site);

/*
 * Keeps the compiler from moving accesses; what a heavy fence elsewhere brought is seen after it.
 */
void sched_fence_light(void);

/*
 * The caller uses plain data that only one thread at a time may use. Fails if it is not ordered
 * after the last use by another.
 */
void sched_use(uint64_t *data, const char *what);

#endif
