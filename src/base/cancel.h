/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * No call of weir is a cancellation point: a thread that is cancelled inside one would take with it
 * what it holds of the pool. A call that may meet one of the C library's points (write, poll, send)
 * puts cancellation off to its end; what was asked for meanwhile happens at the thread's next
 * point.
 */
#ifndef WI_BASE_CANCEL_H
#define WI_BASE_CANCEL_H

#include <pthread.h>

static inline int wi_cancel_off(void)
{
	int before;

	return pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &before) == 0 ? before
	                                                                    : PTHREAD_CANCEL_ENABLE;
}

static inline void wi_cancel_back(const int *before)
{
	int ours;

	(void)pthread_setcancelstate(*before, &ours);
}

/*
 * From here to the end of the block the calling thread is not cancelled. (unused: clang does not
 * take the cleanup for a use.)
 */
#define WI_NO_CANCEL                                                                               \
	const int wi_cancel_before __attribute__((cleanup(wi_cancel_back), unused)) =              \
		wi_cancel_off()

#endif
