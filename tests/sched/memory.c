/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Idea. Each shared word keeps its last few values, numbered in the order in which they were
 * written. A thread knows of each word the newest value that it has seen; a look may return that
 * one or any newer one. What makes a thread know more is what C11 says: an acquire of a value that
 * was released brings what the releaser knew; a sequentially consistent look sees at least the last
 * sequentially consistent write of that word; a heavy fence makes everybody know everything. So a
 * store that others do not see yet is one that still lies in its writer's store buffer, or that the
 * writer's processor sent out of order, or before which the reader's processor looked: whoever
 * needs more than that has to say so in the code (operational models of this kind: J. Kang, C.-K.
 * Hur, O. Lahav, V. Vafeiadis, D. Dreyer, "A promising semantics for relaxed-memory concurrency",
 * 2017; O. Lahav, N. Giannarakis, V. Vafeiadis, "Taming release-acquire consistency", 2016).
 *
 * A read-modify-write sees and replaces the newest value, and carries on what the one before
 * published. A failed compare-and-swap sees the newest value too.
 *
 * The light fence. A compiler may move a look, with all looks after it, up over stores that were
 * made before it. So what a heavy fence elsewhere brings to a thread in the middle of its work
 * waits (`brought`) until that thread crosses a light fence or a read-modify-write that releases: a
 * program that leaves its light fence out keeps looking at old values.
 *
 * As x86. With `as_x86` every load acquires, every store releases, every read-modify-write is a
 * full fence: total store order, and a little more than that (two readers may see two writers in
 * different orders).
 *
 * Not modelled: a store that takes its place in the order before a store made earlier (needed for
 * two writers that both lose), values out of thin air, more than KEPT values back.
 */
#include "sched/memory.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sched/engine.h"

#define CLASSES 65536
#define NOTHING ~UINT64_C(0)

/* By address, over all executions of a scenario: who touches it, and whether anybody writes. */
static struct class
{
	uintptr_t at;
	uint8_t by;
	bool written, contended;
} * classes;

static uint64_t mask(unsigned size)
{
	return size == 8 ? ~UINT64_C(0) : (UINT64_C(1) << 8 * size) - 1;
}

static uint64_t raw_read(const volatile void *at, unsigned size)
{
	switch (size) {
	case 1:
		return *(const volatile uint8_t *)at;
	case 2:
		return *(const volatile uint16_t *)at;
	case 4:
		return *(const volatile uint32_t *)at;
	default:
		return *(const volatile uint64_t *)at;
	}
}

static void raw_write(volatile void *at, unsigned size, uint64_t value)
{
	switch (size) {
	case 1:
		*(volatile uint8_t *)at = (uint8_t)value;
		return;
	case 2:
		*(volatile uint16_t *)at = (uint16_t)value;
		return;
	case 4:
		*(volatile uint32_t *)at = (uint32_t)value;
		return;
	default:
		*(volatile uint64_t *)at = value;
	}
}

/* ---- views ---- */

static void join(struct view *to, const struct view *from)
{
	uint32_t n = sched_engine->words;

	for (uint32_t i = 0; i < n; i++)
		if (to->at[i] < from->at[i])
			to->at[i] = from->at[i];
}

/* A view kept with a value: its length, then so many numbers. */
static uint32_t keep(const struct view *view, uint32_t also)
{
	struct engine *e = sched_engine;
	uint32_t at = e->views_used, n = e->words;
	uint16_t *kept = e->views + at;

	if ((at + n + 1) * sizeof(uint16_t) > VIEWS_BYTES)
		sched_fail("the execution is too long for the scheduler's memory");
	e->views_used += n + 1;
	kept[0] = (uint16_t)n;
	if (view)
		memcpy(kept + 1, view->at, n * sizeof(uint16_t));
	else
		memset(kept + 1, 0, n * sizeof(uint16_t));
	for (uint32_t i = 0; also && i < e->views[also]; i++)
		if (kept[i + 1] < e->views[also + i + 1])
			kept[i + 1] = e->views[also + i + 1];
	return at;
}

static void learn(struct view *to, uint32_t kept)
{
	const uint16_t *from = sched_engine->views + kept;

	for (uint32_t i = 0; kept && i < from[0]; i++)
		if (to->at[i] < from[i + 1])
			to->at[i] = from[i + 1];
}

/* ---- words ---- */

void memory_forget_classes(void)
{
	if (!classes)
		classes = calloc(CLASSES, sizeof(*classes));
	memset(classes, 0, CLASSES * sizeof(*classes));
}

static struct class *class_of(uintptr_t at)
{
	uint32_t i = (uint32_t)((at >> 2) * 2654435761u) % CLASSES;

	while (classes[i].at && classes[i].at != at)
		i = (i + 1) % CLASSES;
	classes[i].at = at;
	return &classes[i];
}

void memory_reset(void)
{
	struct engine *e = sched_engine;

	for (uint32_t i = 0; i < e->words; i++)
		e->total_order.at[i] = 0;
	memset(e->index, 0, sizeof(e->index));
	e->words = 0;
	e->views_used = 1;
}

static struct word *word_at(const volatile void *at, unsigned size)
{
	struct engine *e = sched_engine;
	uintptr_t a = (uintptr_t)at;
	uint32_t room = 4 * WORDS_MAX, i = (uint32_t)((a >> 2) * 2654435761u) % room;
	struct word *w;

	for (; e->index[i]; i = (i + 1) % room)
		if (e->word[e->index[i]].at == a)
			return &e->word[e->index[i]];
	if (!e->words)
		e->words = 1; /* number 0 stands for none */
	if (e->words == WORDS_MAX)
		sched_fail("more than %d shared words", WORDS_MAX);
	e->index[i] = (uint16_t)e->words;
	w = &e->word[e->words];
	memset(w, 0, sizeof(*w));
	w->at = a;
	w->size = (uint8_t)size;
	w->value[0].bits = size ? raw_read(at, size) : 0;
	w->contended = class_of(a)->contended;
	for (int f = 0; f < FIBRES; f++)
		e->fibre[f].view.at[e->words] = e->fibre[f].brought.at[e->words] =
			e->fibre[f].settled.at[e->words] = 0;
	e->total_order.at[e->words] = 0;
	e->words++;
	return w;
}

static uint32_t number(const struct word *w)
{
	return (uint32_t)(w - sched_engine->word);
}

static struct value *newest(struct word *w)
{
	return &w->value[w->newest % KEPT];
}

/* Plain code has made the word anew (memset, atomic_init): nothing older can be seen. */
static void made_anew(struct word *w, uint64_t bits)
{
	w->newest++;
	*newest(w) = (struct value){bits, 0};
	w->oldest = w->newest;
}

static struct word *touch(const volatile void *at, unsigned size, bool writes)
{
	struct engine *e = sched_engine;
	struct word *w = word_at(at, size);
	uint64_t bits;
	struct class *c;

	if (w->dead)
		sched_fail("memory that was freed is used");
	if (!w->size) /* it was named before it was used */
		w->size = (uint8_t)size;
	if (w->size != size)
		sched_fail("a word is used with %u and %u bytes", w->size, size);
	bits = raw_read(at, size);
	if (bits != newest(w)->bits)
		made_anew(w, bits);
	c = class_of(w->at);
	c->by |= (uint8_t)(1u << e->current);
	c->written |= writes;
	if (!c->contended && c->written && (c->by & (c->by - 1))) {
		c->contended = true;
		e->widened = true;
	}
	return w;
}

/*
 * A word that only one thread touches, or that nobody writes while they run, is no place to switch:
 * that would differ from switching at the next place in nothing.
 */
static struct word *touch_at_point(const volatile void *at, unsigned size, bool writes)
{
	struct engine *e = sched_engine;
	struct word *w = touch(at, size, writes);

	e->step++;
	if (!w->contended && e->mode == SEARCH)
		return w;
	engine_point();
	return touch(at, size, writes);
}

static void push_value(struct word *w, uint64_t bits, uint32_t seen)
{
	w->newest++;
	if (w->newest == UINT16_MAX)
		sched_fail("a word has been written too often");
	*newest(w) = (struct value){bits, seen};
	if (w->newest - w->oldest >= KEPT)
		w->oldest = (uint16_t)(w->newest - KEPT + 1);
	raw_write((volatile void *)w->at, w->size, bits);
}

static struct fibre *me(void)
{
	return &sched_engine->fibre[sched_engine->current];
}

static enum sched_order as_it_is(enum sched_order order, bool loads, bool stores)
{
	if (!sched_engine->scene->as_x86)
		return order;
	if (loads && stores)
		return SCHED_SEQ;
	return loads ? order | SCHED_ACQ : order | SCHED_REL;
}

static void say(const char *did, const struct word *w, const struct sched_site *site,
                const char *result, uint64_t a, uint64_t b, int age)
{
	const char *file = strrchr(site->file, '/');
	char what[128], to[32] = "";

	if (!sched_engine->trace)
		return;
	snprintf(what, sizeof(what), "%s%s%s%s", site->what, w->name[0] ? " (" : "", w->name,
	         w->name[0] ? ")" : "");
	if (b != NOTHING)
		snprintf(to, sizeof(to), " -> %llx", (unsigned long long)b);
	engine_say("%-8s %s%s %llx%s%s  %s:%d", did, what, result, (unsigned long long)a, to,
	           age == 0   ? ""
	           : age == 1 ? "   (there is a newer value)"
	                      : "   (there are newer values)",
	           file ? file + 1 : site->file, site->line);
}

/* ---- accesses ---- */

/* How many values back the look goes, of `ages` that there are. */
static int choose_age(int ages)
{
	struct option option[KEPT];

	if (ages == 0)
		return 0;
	for (int i = 0; i <= ages; i++)
		option[i] = (struct option){i ? 'r' : '.', (uint8_t)i, i == 0};
	return option[engine_choose(option, ages + 1)].arg;
}

uint64_t sched_load(const volatile void *at, unsigned size, enum sched_order order,
                    const struct sched_site *site)
{
	struct engine *e = sched_engine;
	struct word *w;
	struct fibre *f;
	struct value *v;
	uint16_t least;
	int age;

	if (e->alone)
		return raw_read(at, size);
	order = as_it_is(order, true, false);
	w = touch_at_point(at, size, false);
	f = me();
	least = f->view.at[number(w)];
	if (order == SCHED_SEQ && least < e->total_order.at[number(w)])
		least = e->total_order.at[number(w)];
	if (least < w->oldest)
		least = w->oldest;
	age = choose_age(w->newest - least);
	v = &w->value[(w->newest - age) % KEPT];
	f->view.at[number(w)] = (uint16_t)(w->newest - age);
	if (order & SCHED_ACQ)
		learn(&f->view, v->seen);
	say("load", w, site, " =", v->bits, NOTHING, age);
	return v->bits;
}

void sched_store(volatile void *at, unsigned size, uint64_t value, enum sched_order order,
                 const struct sched_site *site)
{
	struct engine *e = sched_engine;
	struct word *w;
	struct fibre *f;
	uint64_t was;

	value &= mask(size);
	if (e->alone) {
		raw_write(at, size, value);
		return;
	}
	order = as_it_is(order, false, true);
	w = touch_at_point(at, size, true);
	f = me();
	was = newest(w)->bits;
	f->view.at[number(w)] = (uint16_t)(w->newest + 1);
	push_value(w, value, order & SCHED_REL ? keep(&f->view, 0) : 0);
	if (order == SCHED_SEQ)
		e->total_order.at[number(w)] = w->newest;
	if (order == SCHED_SEQ && e->scene->as_x86)
		memory_fence(e->current);
	say("store", w, site, " :", was, value, 0);
}

/* The half of a read-modify-write that reads; it reads the newest. */
static uint64_t read_newest(struct word *w, enum sched_order order)
{
	struct engine *e = sched_engine;
	struct fibre *f = me();

	f->view.at[number(w)] = w->newest;
	if (order == SCHED_SEQ && e->scene->as_x86)
		memory_fence(e->current);
	if (order & SCHED_ACQ)
		learn(&f->view, newest(w)->seen);
	if (order & SCHED_REL)
		join(&f->view, &f->brought);
	return newest(w)->bits;
}

/* The half that writes: what the value before published stays published. */
static void write_next(struct word *w, uint64_t value, enum sched_order order)
{
	struct engine *e = sched_engine;
	struct fibre *f = me();
	uint32_t before = newest(w)->seen;

	f->view.at[number(w)] = (uint16_t)(w->newest + 1);
	if (order & SCHED_REL) {
		before = keep(&f->view, before);
		memory_settle(e->current);
	}
	push_value(w, value & mask(w->size), before);
	if (order == SCHED_SEQ)
		e->total_order.at[number(w)] = w->newest;
	if (order == SCHED_SEQ && e->scene->as_x86)
		memory_fence(e->current);
}

static uint64_t changed(uint64_t was, enum sched_change how, uint64_t value)
{
	switch (how) {
	case SCHED_SWAP:
		return value;
	case SCHED_ADD:
		return was + value;
	case SCHED_SUB:
		return was - value;
	case SCHED_OR:
		return was | value;
	case SCHED_AND:
		return was & value;
	}
	return value;
}

uint64_t sched_change(volatile void *at, unsigned size, enum sched_change how, uint64_t value,
                      enum sched_order order, const struct sched_site *site)
{
	static const char *const did[] = {"swap", "add", "sub", "or", "and"};
	struct word *w;
	uint64_t was;

	if (sched_engine->alone) {
		was = raw_read(at, size);
		raw_write(at, size, changed(was, how, value) & mask(size));
		return was;
	}
	order = as_it_is(order, true, true);
	w = touch_at_point(at, size, true);
	was = read_newest(w, order);
	write_next(w, changed(was, how, value), order);
	say(did[how], w, site, " :", was, newest(w)->bits, 0);
	return was;
}

bool sched_cas(volatile void *at, unsigned size, uint64_t *was, uint64_t value,
               enum sched_order order, const struct sched_site *site)
{
	uint64_t expected = *was & mask(size);
	struct word *w;

	if (sched_engine->alone) {
		*was = raw_read(at, size);
		if (*was != expected)
			return false;
		raw_write(at, size, value & mask(size));
		return true;
	}
	order = as_it_is(order, true, true);
	w = touch_at_point(at, size, true);
	*was = read_newest(w, order);
	if (*was != expected) {
		say("cas", w, site, " fails: it is", *was, NOTHING, 0);
		return false;
	}
	write_next(w, value, order);
	say("cas", w, site, " :", expected, newest(w)->bits, 0);
	return true;
}

/* ---- fences ---- */

/* What the thread has done cannot be moved behind what it does from now on. */
void memory_settle(int fibre)
{
	struct fibre *f = &sched_engine->fibre[fibre];

	join(&f->settled, &f->view);
}

/* A full fence of one thread. */
void memory_fence(int fibre)
{
	struct engine *e = sched_engine;
	struct fibre *f = &e->fibre[fibre];

	join(&f->view, &f->brought);
	join(&f->view, &e->total_order);
	join(&e->total_order, &f->view);
	memory_settle(fibre);
}

/* A full fence of one thread's processor, in the middle of whatever the thread does. */
void memory_fence_brought(int fibre)
{
	struct engine *e = sched_engine;
	struct fibre *f = &e->fibre[fibre];

	join(&e->total_order, &f->settled);
	join(&f->brought, &e->total_order);
}

/* Everybody knows everything. */
void sched_settle(void)
{
	struct engine *e = sched_engine;

	for (int turn = 0; turn < 2; turn++)
		for (int i = 0; i < e->fibres; i++)
			memory_fence(i);
}

void sched_fence_light(void)
{
	struct engine *e = sched_engine;

	if (e->alone)
		return;
	join(&me()->view, &me()->brought);
	memory_settle(e->current);
	engine_say("light fence");
}

/* Who is woken, or is not put to sleep because the word has changed, has seen that change. */
void memory_woken(int fibre, const volatile void *word)
{
	struct word *w = word_at(word, 4);

	sched_engine->fibre[fibre].view.at[number(w)] = w->newest;
}

bool memory_is(const volatile void *word, unsigned size, uint64_t expected)
{
	return raw_read(word, size) == (expected & mask(size));
}

void memory_freed(const char *begin, size_t size)
{
	struct engine *e = sched_engine;

	for (uint32_t i = 1; i < e->words; i++)
		if (e->word[i].at >= (uintptr_t)begin && e->word[i].at < (uintptr_t)begin + size)
			e->word[i].dead = true;
}

void sched_use(uint64_t *data, const char *what)
{
	struct word *w;
	struct fibre *f;

	if (sched_engine->alone) {
		++*data;
		return;
	}
	w = touch(data, sizeof(*data), true);
	f = me();
	if (f->view.at[number(w)] < w->newest && w->newest > w->oldest)
		sched_fail("%s is used without order after its last use by another", what);
	f->view.at[number(w)] = (uint16_t)(w->newest + 1);
	push_value(w, newest(w)->bits + 1, 0);
}

const char *memory_name(const volatile void *word)
{
	const struct word *w = word_at(word, 0);
	static char address[32];

	if (w->name[0])
		return w->name;
	snprintf(address, sizeof(address), "%#lx", (unsigned long)w->at);
	return address;
}

void sched_name(const volatile void *word, const char *format, ...)
{
	struct engine *e = sched_engine;
	va_list args;

	if (!e->trace)
		return;
	va_start(args, format);
	vsnprintf(word_at(word, 0)->name, sizeof(e->word[0].name), format, args);
	va_end(args);
}
