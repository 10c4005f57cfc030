/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Fork handlers. In a child only the forking thread exists: urcu-bp has to forget the readers that
 * are not there (or the first grace period would wait for them for ever), and pools have to see
 * that their sockets belong to the parent. A child made by vfork, clone or posix_spawn runs no
 * handler; it may only exec.
 */
#include "base/fork.h"

#include <pthread.h>

#include "base/atomic.h"
#include "base/rcu.h"

_Atomic uint32_t wi_fork_epoch;
void (*_Atomic wi_fork_hook)(void);

static pthread_once_t once = PTHREAD_ONCE_INIT;
static bool installed;

static void in_child(void)
{
	void (*hook)(void) = wi_load_rlx(&wi_fork_hook); /* one thread, nothing to order */

	urcu_bp_after_fork_child();
	wi_add_rlx(&wi_fork_epoch, 1);
	if (hook)
		hook();
}

static void install(void)
{
	installed = pthread_atfork(urcu_bp_before_fork, urcu_bp_after_fork_parent, in_child) == 0;
}

bool wi_fork_init(void)
{
	pthread_once(&once, install);
	return installed;
}
