/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * In the place of src/base/rcu.h when the scheduler's tests compile the library's sources: read
 * sections and grace periods of the modelled world.
 */
#ifndef WI_BASE_RCU_H
#define WI_BASE_RCU_H

#include "sched/world.h"

static inline void wi_rcu_enter(void)
{
	sched_rcu_enter();
}

static inline void wi_rcu_leave(void)
{
	sched_rcu_leave();
}

static inline void wi_rcu_wait(void)
{
	sched_rcu_wait();
}

#endif
