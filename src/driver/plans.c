/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Entries in one array, in a hash table by chains of numbers and in the order of their last use by
 * a double list of numbers; 0 is no entry. A text that is new takes the entry that was used longest
 * ago when all are taken. All texts together are bounded too: where a new one does not fit,
 * entries are emptied in the order of their last use, up to the first that the server keeps: so a
 * new statement drops one old one at most. If that was not enough, it is run without being kept,
 * and finds more room when it comes again.
 *
 * What an exchange will have done is noted as it is taken apart, so that a statement that comes
 * twice in it is prepared once; where it fails, what was not reached is taken back. A name whose
 * DEALLOCATE was not reached is owed, and dropped with the next exchange.
 * Its parts are kept here: a connection that has no plans needs none, as each is then a call.
 */
#include "driver/plans.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/atomic.h"
#include "base/clock.h"

#define MOST_OWED 8
#define FEW_PARTS 4
#define MOST_CALLS (UINT32_MAX / 4) /* so that parts can be counted in 32 bits */
/* Of all texts of a connection; and of one, so that a few long ones do not drive out the rest. */
#define MOST_BYTES ((size_t)1 << 20)
#define MOST_BYTES_OF_ONE (MOST_BYTES / 8)

struct entry {
	char *sql;       /* NULL: never used */
	unsigned *types; /* NULL: as the server infers */
	int n_params;
	uint64_t hash;
	uint64_t name; /* that the server keeps it under; 0: it does not */
	uint32_t next; /* of the same chain, or of those that are free */
	uint32_t newer, older;
};

struct wi_plans {
	uint32_t room, used;
	uint32_t chains; /* a power of two */
	uint32_t newest, oldest;
	uint32_t free; /* emptied ones, by their next */
	uint32_t prepared;
	size_t bytes; /* of texts and types */
	uint32_t n_owed;
	uint64_t owed[MOST_OWED];
	struct wi_part *parts;         /* of the exchange under way; NULL: each part is a call */
	struct wi_part few[FEW_PARTS]; /* where they suffice, parts is this */
	size_t n_parts;                /* for how many others have room */
	uint64_t made;                 /* the first name that is made in it; 0: none is */
	uint32_t *chain;               /* behind the entries */
	struct entry entry[];          /* entry[0] is unused */
};

static size_t bytes_of(uint32_t room, uint32_t chains)
{
	return sizeof(struct wi_plans) + ((size_t)room + 1) * sizeof(struct entry) +
	       (size_t)chains * sizeof(uint32_t);
}

struct wi_plans *wi_plans_new(uint32_t room)
{
	struct wi_plans *p;
	uint32_t chains = 4;

	while (chains < room)
		chains *= 2;
	p = wi_alloc(bytes_of(room, chains));
	if (!p)
		return NULL;
	p->room = room;
	p->chains = chains;
	p->chain = (uint32_t *)(void *)&p->entry[room + 1];
	return p;
}

static size_t bytes_of_text(const char *sql, int n_params)
{
	return strlen(sql) + 1 + (size_t)n_params * sizeof(unsigned);
}

static void forget_text(struct wi_plans *p, struct entry *e)
{
	if (!e->sql)
		return;
	p->bytes -= bytes_of_text(e->sql, e->n_params);
	wi_strfree(e->sql);
	wi_free(e->types, (size_t)e->n_params * sizeof(*e->types));
	e->sql = NULL;
	e->types = NULL;
}

void wi_plans_free(struct wi_plans *p)
{
	if (!p)
		return;
	for (uint32_t i = 1; i <= p->used; i++)
		forget_text(p, &p->entry[i]);
	wi_free(p, bytes_of(p->room, p->chains));
}

void wi_plans_dropped(struct wi_plans *p)
{
	if (!p)
		return;
	for (uint32_t i = 1; p->prepared && i <= p->used; i++)
		p->entry[i].name = 0;
	p->prepared = 0;
	p->n_owed = 0;
}

uint32_t wi_plans_prepared(const struct wi_plans *p)
{
	return p ? p->prepared : 0;
}

static uint64_t mix(uint64_t hash, uint64_t word)
{
	hash = (hash ^ word) * UINT64_C(0x9e3779b97f4a7c15);
	return hash ^ hash >> 29;
}

/* By lot, and by number, as a child has the lot of its parent. */
static uint32_t this_process(void)
{
	static _Atomic uint32_t lot; /* (a) 0: not yet drawn */
	uint32_t drawn = wi_load_rlx(&lot), fresh;

	if (!drawn) {
		fresh = (uint32_t)(mix((uint64_t)wi_now_ns(), (uint64_t)(uintptr_t)&drawn) >> 32);
		fresh |= !fresh;
		drawn = wi_cas_rlx(&lot, &drawn, fresh) ? fresh : drawn;
	}
	return drawn ^ (uint32_t)getpid();
}

void wi_plan_name(uint64_t name, char text[WI_PLAN_NAME])
{
	snprintf(text, WI_PLAN_NAME, "weir_%08x_%llx", this_process(), (unsigned long long)name);
}

/* ---- order of use ---- */

static void unlink_use(struct wi_plans *p, uint32_t i)
{
	struct entry *e = &p->entry[i];

	*(e->newer ? &p->entry[e->newer].older : &p->newest) = e->older;
	*(e->older ? &p->entry[e->older].newer : &p->oldest) = e->newer;
}

static void link_newest(struct wi_plans *p, uint32_t i)
{
	struct entry *e = &p->entry[i];

	e->newer = 0;
	e->older = p->newest;
	*(p->newest ? &p->entry[p->newest].newer : &p->oldest) = i;
	p->newest = i;
}

/* ---- finding ---- */

static unsigned type_of(const struct wi_call *call, int i)
{
	return call->types ? call->types[i] : 0;
}

static uint64_t hash_of(const struct wi_call *call)
{
	size_t length = strlen(call->sql), at = 0;
	uint64_t hash = mix(length, (uint64_t)call->n_params), word;

	for (; length - at >= sizeof(word); at += sizeof(word)) {
		memcpy(&word, call->sql + at, sizeof(word));
		hash = mix(hash, word);
	}
	word = 0;
	memcpy(&word, call->sql + at, length - at);
	hash = mix(hash, word);
	for (int i = 0; call->types && i < call->n_params; i++)
		hash = mix(hash, call->types[i]);
	return hash;
}

static bool is_of(const struct entry *e, const struct wi_call *call)
{
	if (e->n_params != call->n_params || strcmp(e->sql, call->sql) != 0)
		return false;
	for (int i = 0; i < call->n_params; i++)
		if ((e->types ? e->types[i] : 0) != type_of(call, i))
			return false;
	return true;
}

static uint32_t *chain_of(struct wi_plans *p, uint64_t hash)
{
	return &p->chain[(hash >> 32) & (p->chains - 1)];
}

static uint32_t find(struct wi_plans *p, const struct wi_call *call, uint64_t hash)
{
	uint32_t i = *chain_of(p, hash);

	while (i && !(p->entry[i].hash == hash && is_of(&p->entry[i], call)))
		i = p->entry[i].next;
	return i;
}

static void unchain(struct wi_plans *p, uint32_t i)
{
	uint32_t *at = chain_of(p, p->entry[i].hash);

	while (*at != i)
		at = &p->entry[*at].next;
	*at = p->entry[i].next;
}

static void set_name(struct wi_plans *p, uint32_t i, uint64_t name)
{
	p->prepared += (name != 0) - (p->entry[i].name != 0);
	p->entry[i].name = name;
}

/* ---- keeping ---- */

static bool copy_text(struct entry *to, const struct wi_call *call)
{
	bool has_types = call->types && call->n_params > 0;

	*to = (struct entry){.sql = wi_strdup(call->sql), .n_params = call->n_params};
	if (!to->sql)
		return false;
	if (!has_types)
		return true;
	to->types = wi_alloc((size_t)call->n_params * sizeof(*to->types));
	if (!to->types) {
		wi_strfree(to->sql);
		return false;
	}
	memcpy(to->types, call->types, (size_t)call->n_params * sizeof(*to->types));
	return true;
}

/* Forgets the one that was used longest ago; the name that the server keeps it under, or 0. */
static uint64_t empty_oldest(struct wi_plans *p)
{
	uint32_t i = p->oldest;
	uint64_t name = p->entry[i].name;

	set_name(p, i, 0);
	unlink_use(p, i);
	unchain(p, i);
	forget_text(p, &p->entry[i]);
	p->entry[i].next = p->free;
	p->free = i;
	return name;
}

static bool has_room(const struct wi_plans *p, size_t bytes)
{
	return (p->free || p->used < p->room) && p->bytes + bytes <= MOST_BYTES;
}

static uint32_t take_free(struct wi_plans *p)
{
	uint32_t i = p->free;

	if (!i)
		return ++p->used;
	p->free = p->entry[i].next;
	return i;
}

/* A new one, or 0: it is not kept. *drop is the name of one that is kept no more, or 0. */
static uint32_t add(struct wi_plans *p, const struct wi_call *call, uint64_t hash, uint64_t *drop)
{
	size_t bytes = bytes_of_text(call->sql, call->n_params);
	struct entry fresh;
	uint32_t i;

	*drop = 0;
	if (bytes > MOST_BYTES_OF_ONE)
		return 0;
	while (!has_room(p, bytes) && p->oldest && !*drop)
		*drop = empty_oldest(p);
	if (!has_room(p, bytes) || !copy_text(&fresh, call))
		return 0;
	i = take_free(p);
	p->bytes += bytes;
	fresh.hash = hash;
	fresh.next = *chain_of(p, hash);
	p->entry[i] = fresh;
	*chain_of(p, hash) = i;
	link_newest(p, i);
	return i;
}

static uint64_t new_name(void)
{
	static _Atomic uint64_t last; /* (a) only a number */

	return wi_add_rlx(&last, 1) + 1;
}

/* ---- exchanges ---- */

/* Names grow: so one that is older than the first made here was made before. */
static void put(struct wi_exchange *x, struct wi_plans *p, enum wi_part_kind kind, uint32_t call,
                uint32_t entry, uint64_t name)
{
	bool old = name && (!p->made || name < p->made);

	p->parts[x->n++] = (struct wi_part){kind, call, entry, name, old, false};
}

static bool any_is_inferred(const struct wi_call *call)
{
	for (int i = 0; i < call->n_params; i++)
		if (type_of(call, i) == 0)
			return true;
	return false;
}

static void put_run(struct wi_exchange *x, struct wi_plans *p, const struct wi_call *call,
                    uint32_t number, uint32_t entry)
{
	put(x, p, WI_PART_RUN_NAMED, number, entry, p->entry[entry].name);
	p->parts[x->n - 1].inferred = p->parts[x->n - 1].old && any_is_inferred(call);
}

static void take_apart(struct wi_exchange *x, struct wi_plans *p, const struct wi_call *call,
                       uint32_t number)
{
	uint64_t hash = hash_of(call), drop = 0;
	uint32_t i = find(p, call, hash);
	bool known = i != 0;

	if (known) {
		unlink_use(p, i);
		link_newest(p, i);
	} else {
		i = add(p, call, hash, &drop);
	}
	if (drop)
		put(x, p, WI_PART_DROP, number, 0, drop);
	if (!i || (!known && call->keep != WI_KEEP_AT_ONCE)) {
		put(x, p, WI_PART_RUN, number, 0, 0);
		return;
	}
	if (!p->entry[i].name) {
		set_name(p, i, new_name());
		if (!p->made)
			p->made = p->entry[i].name;
		put(x, p, WI_PART_PREPARE, number, i, p->entry[i].name);
	}
	put_run(x, p, call, number, i);
}

/* At most: what is owed, and for each its drop, its prepare, and its run. */
static size_t most_parts(const struct wi_plans *p, size_t n)
{
	return p->n_owed + 3 * n;
}

static bool any_is_kept(const struct wi_call *calls, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (calls[i].keep != WI_KEEP_NOT)
			return true;
	return false;
}

/* Not before a ROLLBACK: in a failed transaction a DEALLOCATE would be refused. */
static void put_owed(struct wi_exchange *x, struct wi_plans *p)
{
	for (uint32_t i = 0; i < p->n_owed; i++)
		put(x, p, WI_PART_DROP, 0, 0, p->owed[i]);
	p->n_owed = 0;
}

/* false: no memory. */
static bool make_room(struct wi_plans *p, size_t most)
{
	p->parts = most <= FEW_PARTS ? p->few : wi_alloc(most * sizeof(*p->parts));
	p->n_parts = most;
	p->made = 0;
	return p->parts != NULL;
}

bool wi_exchange_begin(struct wi_exchange *x, struct wi_plans *p, const struct wi_call *calls,
                       size_t n)
{
	*x = (struct wi_exchange){0};
	if (n > MOST_CALLS)
		return false;
	if (!p || !any_is_kept(calls, n)) {
		x->n = (uint32_t)n;
		return true;
	}
	if (!make_room(p, most_parts(p, n)))
		return false;
	put_owed(x, p);
	for (size_t i = 0; i < n; i++) {
		if (calls[i].keep != WI_KEEP_NOT)
			take_apart(x, p, &calls[i], (uint32_t)i);
		else
			put(x, p, WI_PART_RUN, (uint32_t)i, 0, 0);
	}
	return true;
}

static bool is_planned(const struct wi_plans *p)
{
	return p && p->parts;
}

struct wi_part wi_exchange_part(const struct wi_plans *p, uint32_t i)
{
	return is_planned(p) ? p->parts[i] : (struct wi_part){.kind = WI_PART_RUN, .call = i};
}

bool wi_exchange_relied_on_old(const struct wi_exchange *x, const struct wi_plans *p)
{
	return x->at < x->n && wi_exchange_part(p, x->at).old;
}

/* The name of an entry, if it is still that one's. */
static void lose_name(struct wi_plans *p, const struct wi_part *part)
{
	if (p->entry[part->entry].name == part->name)
		set_name(p, part->entry, 0);
}

/* false: there is no room to remember it. */
static bool owe(struct wi_plans *p, uint64_t name)
{
	if (p->n_owed == MOST_OWED)
		return false;
	p->owed[p->n_owed++] = name;
	return true;
}

static void release(struct wi_exchange *x, struct wi_plans *p)
{
	if (is_planned(p) && p->parts != p->few)
		wi_free(p->parts, p->n_parts * sizeof(*p->parts));
	if (p)
		p->parts = NULL;
	*x = (struct wi_exchange){0};
}

bool wi_exchange_end(struct wi_exchange *x, struct wi_plans *p, enum wi_stale stale)
{
	uint64_t unmade = UINT64_MAX; /* names grow: from this one on none was made */
	bool all_known = true;

	for (uint32_t i = x->at; is_planned(p) && i < x->n; i++) {
		const struct wi_part *part = &p->parts[i];

		if (part->kind == WI_PART_PREPARE && part->name < unmade)
			unmade = part->name;
		if (part->kind == WI_PART_PREPARE)
			lose_name(p, part);
		else if (part->kind == WI_PART_DROP && part->name < unmade)
			all_known &= owe(p, part->name);
	}
	if (is_planned(p) && (stale == WI_STALE_PLAN || stale == WI_STALE_TYPES) && x->at < x->n) {
		lose_name(p, &p->parts[x->at]);
		all_known &= owe(p, p->parts[x->at].name);
	} else if (p && stale == WI_STALE_NAME) {
		/* Who dropped that one may have dropped any. */
		wi_plans_dropped(p);
		all_known = false;
	}
	release(x, p);
	return !all_known;
}

bool wi_exchange_forget(struct wi_exchange *x, struct wi_plans *p)
{
	bool all_known = true;

	for (uint32_t i = 0; is_planned(p) && i < x->n; i++) {
		enum wi_part_kind kind = p->parts[i].kind;

		if (kind == WI_PART_PREPARE)
			lose_name(p, &p->parts[i]);
		all_known &= kind != WI_PART_PREPARE && kind != WI_PART_DROP;
	}
	release(x, p);
	return !all_known;
}
