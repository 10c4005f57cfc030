/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Atomics with the memory order in the name, over C11 <stdatomic.h>. No other file names an order.
 *
 *   rlx      no order: a number that is only itself
 *   acq/rel  the usual pair; every one that matters carries a label [area:A1] and names its partner
 *   seq      takes part in the one total order: for Dekker-style "store mine, then look at yours".
 *            `grep -rn 'wi_[a-z]*_seq'` lists every place that pays for it.
 *
 * wi_fence_light is the cheap half of an asymmetric pair: it keeps the compiler from moving
 * anything across it, and that is all. The other half, wi_world.fence_heavy, makes it a full fence
 * on every thread at once, when one is needed. Only code that has made sure that there is such a
 * half uses it.
 */
#ifndef WI_BASE_ATOMIC_H
#define WI_BASE_ATOMIC_H

#include <stdatomic.h>

#define wi_fence_light() atomic_signal_fence(memory_order_seq_cst)

#define wi_load_rlx(p) atomic_load_explicit((p), memory_order_relaxed)
#define wi_load_acq(p) atomic_load_explicit((p), memory_order_acquire)
#define wi_load_seq(p) atomic_load_explicit((p), memory_order_seq_cst)

#define wi_store_rlx(p, v) atomic_store_explicit((p), (v), memory_order_relaxed)
#define wi_store_rel(p, v) atomic_store_explicit((p), (v), memory_order_release)
#define wi_store_seq(p, v) atomic_store_explicit((p), (v), memory_order_seq_cst)

#define wi_swap_acq(p, v) atomic_exchange_explicit((p), (v), memory_order_acquire)
#define wi_swap_acq_rel(p, v) atomic_exchange_explicit((p), (v), memory_order_acq_rel)
#define wi_swap_seq(p, v) atomic_exchange_explicit((p), (v), memory_order_seq_cst)

#define wi_add_rlx(p, v) atomic_fetch_add_explicit((p), (v), memory_order_relaxed)
#define wi_add_acq_rel(p, v) atomic_fetch_add_explicit((p), (v), memory_order_acq_rel)
#define wi_add_seq(p, v) atomic_fetch_add_explicit((p), (v), memory_order_seq_cst)
#define wi_sub_rlx(p, v) atomic_fetch_sub_explicit((p), (v), memory_order_relaxed)
#define wi_sub_acq_rel(p, v) atomic_fetch_sub_explicit((p), (v), memory_order_acq_rel)
#define wi_sub_seq(p, v) atomic_fetch_sub_explicit((p), (v), memory_order_seq_cst)
#define wi_or_rlx(p, v) atomic_fetch_or_explicit((p), (v), memory_order_relaxed)
#define wi_or_acq_rel(p, v) atomic_fetch_or_explicit((p), (v), memory_order_acq_rel)
#define wi_or_seq(p, v) atomic_fetch_or_explicit((p), (v), memory_order_seq_cst)
#define wi_and_rlx(p, v) atomic_fetch_and_explicit((p), (v), memory_order_relaxed)
#define wi_and_acq_rel(p, v) atomic_fetch_and_explicit((p), (v), memory_order_acq_rel)
#define wi_and_seq(p, v) atomic_fetch_and_explicit((p), (v), memory_order_seq_cst)

/*
 * A plain word of a struct that a program fills (an option), which one thread may write while
 * others read it: a number that is only itself.
 */
#define wi_word_load(p) __atomic_load_n((p), __ATOMIC_RELAXED)
#define wi_word_store(p, v) __atomic_store_n((p), (v), __ATOMIC_RELAXED)

/*
 * Compare and swap, strong; on failure *old is what was there, read with the same strength less the
 * release.
 */
#define wi_cas_rlx(p, old, v)                                                                      \
	atomic_compare_exchange_strong_explicit((p), (old), (v), memory_order_relaxed,             \
	                                        memory_order_relaxed)
#define wi_cas_acq(p, old, v)                                                                      \
	atomic_compare_exchange_strong_explicit((p), (old), (v), memory_order_acquire,             \
	                                        memory_order_acquire)
#define wi_cas_rel(p, old, v)                                                                      \
	atomic_compare_exchange_strong_explicit((p), (old), (v), memory_order_release,             \
	                                        memory_order_relaxed)
#define wi_cas_acq_rel(p, old, v)                                                                  \
	atomic_compare_exchange_strong_explicit((p), (old), (v), memory_order_acq_rel,             \
	                                        memory_order_acquire)
#define wi_cas_seq(p, old, v)                                                                      \
	atomic_compare_exchange_strong_explicit((p), (old), (v), memory_order_seq_cst,             \
	                                        memory_order_seq_cst)

#endif
