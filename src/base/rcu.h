/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Read-copy-update: readers that never wait, and a writer that waits for them. The only file that
 * includes liburcu's headers.
 *
 * The flavour is urcu-bp: threads are registered at their first read section and unregistered at
 * exit by itself, and it is the only flavour whose readers may fork (its handlers drop the threads
 * that a child does not have). A library cannot ask its host's threads to register, nor forbid it
 * to fork; the price over urcu-memb is one predictable branch.
 *
 * Read: wi_rcu_enter, load the pointer with wi_load_acq, use it, wi_rcu_leave; no sleep and no I/O
 * inside. Replace: old = wi_swap_acq_rel(&pointer, new); wi_rcu_wait(); free(old).
 */
#ifndef WI_BASE_RCU_H
#define WI_BASE_RCU_H

#define URCU_INLINE_SMALL_FUNCTIONS 1
#include <urcu/urcu-bp.h>

#if defined(__SANITIZE_THREAD__)
#define WI_TSAN 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define WI_TSAN 1
#endif
#endif

#ifdef WI_TSAN
/* The sanitizer does not see a grace period in an uninstrumented library: tell it. */
extern void __tsan_acquire(void *), __tsan_release(void *);
extern char wi_rcu_grace;
#define WI_RCU_READER_DONE() __tsan_release(&wi_rcu_grace)
#define WI_RCU_READERS_GONE() __tsan_acquire(&wi_rcu_grace)
#else
#define WI_RCU_READER_DONE() ((void)0)
#define WI_RCU_READERS_GONE() ((void)0)
#endif

static inline void wi_rcu_enter(void)
{
	urcu_bp_read_lock();
}

static inline void wi_rcu_leave(void)
{
	WI_RCU_READER_DONE();
	urcu_bp_read_unlock();
}

/* Waits until every read section that had begun has ended. Never inside a read section. */
static inline void wi_rcu_wait(void)
{
	urcu_bp_synchronize_rcu();
	WI_RCU_READERS_GONE();
}

#endif
