/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * In the place of src/base/atomic.h when the scheduler's tests compile the library's sources: the
 * same macros, each a call into the modelled memory, with the order that it names. A macro that is
 * there and not here does not compile.
 */
#ifndef WI_BASE_ATOMIC_H
#define WI_BASE_ATOMIC_H

#include <stdatomic.h>
#include <stdint.h>

#include "sched/memory.h"

#define SCHED_SITE(p)                                                                              \
	({                                                                                         \
		static const struct sched_site site_ = {__FILE__, #p, __LINE__};                   \
		&site_;                                                                            \
	})
#define SCHED_TYPE(p) __typeof__((void)0, *(p))

#define SCHED_LOAD(p, order)                                                                       \
	((SCHED_TYPE(p))sched_load((p), sizeof(*(p)), SCHED_##order, SCHED_SITE(p)))
#define SCHED_STORE(p, v, order)                                                                   \
	sched_store((p), sizeof(*(p)), (uint64_t)(v), SCHED_##order, SCHED_SITE(p))
#define SCHED_CHANGE(p, how, v, order)                                                             \
	({                                                                                         \
		SCHED_TYPE(p)                                                                      \
		was_ = (SCHED_TYPE(p))sched_change((p), sizeof(*(p)), SCHED_##how, (uint64_t)(v),  \
		                                   SCHED_##order, SCHED_SITE(p));                  \
		was_;                                                                              \
	})
#define SCHED_CAS(p, old, v, order)                                                                \
	({                                                                                         \
		__auto_type old_ = (old);                                                          \
		uint64_t was_ = (uint64_t)*old_;                                                   \
		bool done_ = sched_cas((p), sizeof(*(p)), &was_, (uint64_t)(v), SCHED_##order,     \
		                       SCHED_SITE(p));                                             \
		if (!done_)                                                                        \
			*old_ = (__typeof__(*old_))was_;                                           \
		done_;                                                                             \
	})

/* Options, which no schedule changes. */
#define wi_word_load(p) (*(p))
#define wi_word_store(p, v) (*(p) = (v))

#define wi_fence_light() sched_fence_light()

#define wi_load_rlx(p) SCHED_LOAD(p, RLX)
#define wi_load_acq(p) SCHED_LOAD(p, ACQ)
#define wi_load_seq(p) SCHED_LOAD(p, SEQ)

#define wi_store_rlx(p, v) SCHED_STORE(p, v, RLX)
#define wi_store_rel(p, v) SCHED_STORE(p, v, REL)
#define wi_store_seq(p, v) SCHED_STORE(p, v, SEQ)

#define wi_swap_acq(p, v) SCHED_CHANGE(p, SWAP, v, ACQ)
#define wi_swap_acq_rel(p, v) SCHED_CHANGE(p, SWAP, v, ACQ_REL)
#define wi_swap_seq(p, v) SCHED_CHANGE(p, SWAP, v, SEQ)

#define wi_add_rlx(p, v) SCHED_CHANGE(p, ADD, v, RLX)
#define wi_add_acq_rel(p, v) SCHED_CHANGE(p, ADD, v, ACQ_REL)
#define wi_add_seq(p, v) SCHED_CHANGE(p, ADD, v, SEQ)
#define wi_sub_rlx(p, v) SCHED_CHANGE(p, SUB, v, RLX)
#define wi_sub_acq_rel(p, v) SCHED_CHANGE(p, SUB, v, ACQ_REL)
#define wi_sub_seq(p, v) SCHED_CHANGE(p, SUB, v, SEQ)
#define wi_or_rlx(p, v) SCHED_CHANGE(p, OR, v, RLX)
#define wi_or_acq_rel(p, v) SCHED_CHANGE(p, OR, v, ACQ_REL)
#define wi_or_seq(p, v) SCHED_CHANGE(p, OR, v, SEQ)
#define wi_and_rlx(p, v) SCHED_CHANGE(p, AND, v, RLX)
#define wi_and_acq_rel(p, v) SCHED_CHANGE(p, AND, v, ACQ_REL)
#define wi_and_seq(p, v) SCHED_CHANGE(p, AND, v, SEQ)

#define wi_cas_rlx(p, old, v) SCHED_CAS(p, old, v, RLX)
#define wi_cas_acq(p, old, v) SCHED_CAS(p, old, v, ACQ)
#define wi_cas_rel(p, old, v) SCHED_CAS(p, old, v, REL)
#define wi_cas_acq_rel(p, old, v) SCHED_CAS(p, old, v, ACQ_REL)
#define wi_cas_seq(p, old, v) SCHED_CAS(p, old, v, SEQ)

#endif
