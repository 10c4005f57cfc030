/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Fibres: a stack and a copy of the thread-local variables each. They are begun by makecontext,
 * once for the whole program; after that a switch is a pair of setjmp and longjmp, which make no
 * system call. A fibre that is abandoned in the middle of an execution begins anew at its `fresh`
 * mark.
 */
#include <link.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <ucontext.h>

#include "sched/engine.h"

#define STACK_BYTES (256u << 10)

static ucontext_t here, begin;

_Noreturn void engine_back(void)
{
	_longjmp(sched_engine->back, 1);
}

static void fibre_main(void)
{
	struct fibre *f = &sched_engine->fibre[sched_engine->current];

	if (_setjmp(f->fresh) == 0)
		swapcontext(&begin, &here);
	/* Nothing that was in a variable before is known here: only the engine is. */
	sched_engine->scene->thread[sched_engine->current].run();
	fibre_run_ends();
	engine_pick_next();
	abort();
}

/* The thread-local variables of the program itself, not those of libraries. */
static int find_locals(struct dl_phdr_info *info, size_t size, void *arg)
{
	struct engine *e = arg;

	(void)size;
	for (int i = 0; i < info->dlpi_phnum; i++) {
		if (info->dlpi_phdr[i].p_type == PT_TLS) {
			e->locals = info->dlpi_tls_data;
			e->locals_size = info->dlpi_phdr[i].p_memsz;
		}
	}
	return 1; /* the first one is the program: no further */
}

void fibres_make(void)
{
	struct engine *e = sched_engine;

	dl_iterate_phdr(find_locals, e);
	e->locals_image = calloc(1, e->locals_size + 1);
	memcpy(e->locals_image, e->locals, e->locals_size);
	for (int i = 0; i < FIBRES; i++) {
		struct fibre *f = &e->fibre[i];

		f->locals = calloc(1, e->locals_size + 1);
		f->stack = mmap(NULL, STACK_BYTES, PROT_READ | PROT_WRITE,
		                MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		if (f->stack == MAP_FAILED)
			abort();
		e->current = i;
		getcontext(&begin);
		begin.uc_stack.ss_sp = f->stack;
		begin.uc_stack.ss_size = STACK_BYTES;
		begin.uc_link = NULL;
		makecontext(&begin, fibre_main, 0);
		swapcontext(&here, &begin);
	}
	e->current = -1;
}

void fibres_reset(void)
{
	struct engine *e = sched_engine;

	memcpy(e->locals, e->locals_image, e->locals_size);
	for (int i = 0; i < FIBRES; i++) {
		struct fibre *f = &e->fibre[i];

		f->state = i < e->fibres ? READY : ENDED;
		f->begun = false;
		f->until = NULL;
		f->word = NULL;
		f->reading = 0;
		f->sections = 0;
		memset(f->specific, 0, sizeof(f->specific));
		memcpy(f->locals, e->locals_image, e->locals_size);
	}
}

/* Lets fibre `to` run; whoever runs now has been saved, or is not needed any more. */
_Noreturn void fibre_leave(int to)
{
	struct engine *e = sched_engine;
	struct fibre *f = &e->fibre[to];

	if (e->current >= 0)
		memcpy(e->fibre[e->current].locals, e->locals, e->locals_size);
	memcpy(e->locals, f->locals, e->locals_size);
	e->current = to;
	f->state = READY;
	if (!f->begun) {
		f->begun = true;
		_longjmp(f->fresh, 1);
	}
	_longjmp(f->context, 1);
}

/* Returns when somebody lets the caller run again. */
void fibre_switch(int to)
{
	struct engine *e = sched_engine;

	if (to == e->current) {
		e->fibre[to].state = READY;
		return;
	}
	if (_setjmp(e->fibre[e->current].context) == 0)
		fibre_leave(to);
}

static void run_destructors(void)
{
	struct engine *e = sched_engine;
	struct fibre *f = &e->fibre[e->current];

	for (int k = 0; k < e->keys; k++) {
		const void *value = f->specific[k];

		f->specific[k] = NULL;
		if (value && e->key_end[k])
			e->key_end[k]((void *)(uintptr_t)value);
	}
}

void fibre_run_ends(void)
{
	engine_say("goes to do something else");
	memory_settle(sched_engine->current);
	sched_engine->fibre[sched_engine->current].state = ENDED;
}

_Noreturn void sched_thread_exit(void)
{
	engine_say("exits");
	run_destructors();
	fibre_run_ends();
	engine_pick_next();
	abort();
}

void sched_act_as(int i)
{
	struct engine *e = sched_engine;

	if (!e->alone)
		abort();
	if (e->acting >= 0)
		memcpy(e->fibre[e->acting].locals, e->locals, e->locals_size);
	memcpy(e->locals, i >= 0 ? e->fibre[i].locals : e->locals_image, e->locals_size);
	e->acting = i;
}
