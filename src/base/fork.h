/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a fork means: how a pool notices that it lives in a child, and what makes RCU survive one.
 */
#ifndef WI_BASE_FORK_H
#define WI_BASE_FORK_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

/*
 * How many forks lie between this process and the one that loaded the library: remember it at open,
 * compare with one relaxed load; another value means "opened by a parent".
 */
extern _Atomic uint32_t wi_fork_epoch;

/*
 * Called in a child, by the only thread it has, before fork returns there; or NULL. Set by
 * core/desk.c, before the first fork that matters to it.
 */
extern void (*_Atomic wi_fork_hook)(void);

/*
 * Installs the fork handlers, once a process; before the first use of RCU. false: no memory. Any
 * thread.
 */
bool wi_fork_init(void);

#endif
