/* SPDX-License-Identifier: BSD-2-Clause */
/* Threads sit down at their first use of a core and leave when they end; desk.h tells the idea. */
#include "core/desk.h"

#include <pthread.h>
#include <string.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/assert.h"
#include "base/atomic.h"
#include "base/fork.h"
#include "base/rcu.h"

_Thread_local struct wi_desk *wi_desk;
_Thread_local struct wi_desk_row wi_desk_hint[WI_DESK_HINTS];

static _Atomic(struct wi_core *) registry[WI_CORES_MAX]; /* (a) read inside RCU sections */
static _Atomic uint64_t next_uid = 1;
static _Atomic uint32_t ids_used; /* (a) one above the largest id ever given */
static pthread_once_t key_once = PTHREAD_ONCE_INIT;
static pthread_key_t key;
static bool key_made;

static size_t desk_bytes(uint32_t room)
{
	return sizeof(struct wi_desk) + room * sizeof(struct wi_desk_row);
}

static void leave(struct wi_core *core, struct wi_seat *seat)
{
	uint32_t slot = wi_cache_take_shared(seat);

	if (core->on_leave)
		core->on_leave(core->on_leave_arg, seat);
	if (slot)
		wi_core_give(core, slot);
	wi_seats_leave(&core->seats, seat);
}

static void thread_ends(void *arg)
{
	struct wi_desk *desk = arg;

	for (uint32_t id = 0; id < desk->room; id++) {
		struct wi_core *core;

		if (!desk->row[id].uid)
			continue;
		wi_rcu_enter();
		/* [desk:A1] sees the core as it was made known; pairs with R1. */
		core = wi_load_acq(&registry[id]);
		if (core && core->uid == desk->row[id].uid)
			leave(core, desk->row[id].seat);
		wi_rcu_leave();
	}
	wi_desk = NULL;
	memset(wi_desk_hint, 0, sizeof(wi_desk_hint));
	wi_free(desk, desk_bytes(desk->room));
}

/*
 * In a child of fork: the parent's cores are not this process's, as every pin there shall see. And
 * this thread forgets its seats there: another one may free them, to make a core anew.
 */
static void mark_forked(void)
{
	memset(wi_desk_hint, 0, sizeof(wi_desk_hint));
	if (wi_desk)
		memset(wi_desk->row, 0, wi_desk->room * sizeof(wi_desk->row[0]));
	for (uint32_t id = 0; id < wi_load_rlx(&ids_used); id++) {
		/* [desk:A3] sees the core as it was made known; pairs with R1. */
		struct wi_core *core = wi_load_acq(&registry[id]);

		if (core)
			wi_bias_end(&core->bias, WI_BIAS_FORKED);
	}
}

static void make_key(void)
{
	wi_store_rlx(&wi_fork_hook, mark_forked);
	key_made = pthread_key_create(&key, thread_ends) == 0;
}

static void raise_ids_used(uint32_t ids)
{
	uint32_t old = wi_load_rlx(&ids_used);

	while (old < ids && !wi_cas_rlx(&ids_used, &old, ids))
		;
}

bool wi_desk_register(struct wi_core *core)
{
	pthread_once(&key_once, make_key);
	if (!key_made)
		return false;
	core->uid = wi_add_rlx(&next_uid, 1);
	for (uint32_t id = 0; id < WI_CORES_MAX; id++) {
		struct wi_core *none = NULL;

		core->id = id;
		core->hint = id % WI_DESK_HINTS;
		/* [desk:R1] publishes the core; pairs with A1 A2 A3. */
		if (!wi_load_rlx(&registry[id]) && wi_cas_acq_rel(&registry[id], &none, core)) {
			raise_ids_used(id + 1);
			return true;
		}
	}
	return false;
}

void wi_desk_unregister(struct wi_core *core)
{
	if (wi_load_rlx(&registry[core->id]) != core)
		return;                          /* was never made known */
	wi_store_rlx(&registry[core->id], NULL); /* the grace period is the ordering */
	wi_rcu_wait();
}

bool wi_desk_knows(const void *slot)
{
	uint32_t ids = wi_load_rlx(&ids_used);
	bool known = false;

	wi_rcu_enter();
	for (uint32_t id = 0; id < ids && !known; id++) {
		/* [desk:A2] as A1; pairs with R1. */
		const struct wi_core *core = wi_load_acq(&registry[id]);
		uintptr_t at = (uintptr_t)slot, base;

		if (!core)
			continue;
		base = (uintptr_t)core->table.base;
		/* [slot:A2] as A1; pairs with R1. */
		known = at > base &&
		        at <= base + wi_load_acq(&core->table.count) * core->table.stride &&
		        (at - base) % core->table.stride == 0;
	}
	wi_rcu_leave();
	return known;
}

/* Makes room for the id; the old rows move along. */
static struct wi_desk *desk_with_room(uint32_t id)
{
	struct wi_desk *old = wi_desk, *desk;
	uint32_t room = 8;

	if (old && id < old->room)
		return old;
	while (room <= id)
		room *= 2;
	desk = wi_alloc(desk_bytes(room));
	if (!desk)
		return NULL;
	desk->room = room;
	if (old)
		memcpy(desk->row, old->row, old->room * sizeof(old->row[0]));
	if (pthread_setspecific(key, desk) != 0) {
		wi_free(desk, desk_bytes(room));
		return NULL;
	}
	wi_desk = desk;
	if (old)
		wi_free(old, desk_bytes(old->room));
	return desk;
}

WI_NOINLINE struct wi_seat *wi_desk_search(const struct wi_core *core)
{
	const struct wi_desk *desk = wi_desk;

	if (!desk || core->id >= desk->room || desk->row[core->id].uid != core->uid)
		return NULL;
	wi_desk_hint[core->hint] = desk->row[core->id];
	return desk->row[core->id].seat;
}

struct wi_seat *wi_desk_sit(struct wi_core *core)
{
	struct wi_desk *desk = desk_with_room(core->id);
	struct wi_seat *seat = desk ? wi_seats_take(&core->seats) : NULL;

	if (!seat)
		return NULL;
	wi_store_rlx(&seat->thread, (int32_t)gettid());
	wi_store_rlx(&seat->owner, wi_thread_self());
	wi_desk_hint[core->hint] = (struct wi_desk_row){core->uid, seat};
	desk->row[core->id] = (struct wi_desk_row){core->uid, seat};
	return seat;
}
