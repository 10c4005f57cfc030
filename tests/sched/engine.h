/* SPDX-License-Identifier: BSD-2-Clause */
/* What the scheduler's own files share. */
#ifndef SCHED_ENGINE_H
#define SCHED_ENGINE_H

#include <setjmp.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "sched/memory.h"
#include "sched/sched.h"
#include "sched/world.h"

#define FIBRES SCHED_FIBRES_MAX
#define WORDS_MAX 3072 /* shared words an execution may touch */
#define KEPT 4         /* values of a word that looks may still see, the newest included */
#define KEYS 4

/* What somebody has seen of each word: the number of its newest value that was seen. */
struct view {
	uint16_t at[WORDS_MAX];
};

enum fibre_state { READY, PARKED, BLOCKED, ENDED, STOPPED };

struct fibre {
	jmp_buf fresh, context;
	enum fibre_state state;
	bool begun;
	char *stack;
	char *locals;              /* its thread-local variables while it does not run */
	struct view view;          /* what it has seen */
	struct view brought;       /* what heavy fences elsewhere brought, not looked at yet */
	struct view settled;       /* what it had seen and done when it last crossed a fence */
	const volatile void *word; /* PARKED: where */
	int64_t since, deadline;   /* PARKED, BLOCKED: since when, until when */
	bool (*until)(void *);     /* BLOCKED */
	void *until_arg;
	int reading;       /* depth of read sections */
	uint64_t sections; /* read sections ended */
	const void *specific[KEYS];
	int priority; /* of the schedule by chance */
};

struct value {
	uint64_t bits;
	/* where what its reader may know with it begins in the store of views; 0: none */
	uint32_t seen;
};

struct word {
	uintptr_t at;
	uint8_t size;
	bool dead;      /* its memory was freed */
	bool contended; /* see class_of */
	uint16_t newest, oldest;
	struct value value[KEPT];
	char name[32];
};

/* One way to go on at a point. */
struct option {
	/* '.' go on, '>' thread, 'r' older value, 't' tick, 'w' wake, 'z' stop, 'c' choice */
	char kind;
	uint8_t arg;
	bool free; /* costs nothing */
};
#define OPTIONS_MAX (3 * FIBRES + 4)

/* What was chosen in an execution, where it was not the first option. */
struct choice {
	uint32_t step;
	char kind;
	uint8_t arg;
};
#define CHOICES_MAX 4096

/* A point in the search by order: the options that could be afforded, and the one tried now. */
struct node {
	uint32_t step;
	uint8_t n, now;
	struct option option[OPTIONS_MAX];
};
#define NODES_MAX 20000

enum mode { REPLAY, SEARCH, CHANCE };

struct engine {
	const struct sched_scenario *scene;
	enum mode mode;
	bool trace;
	/* the execution */
	jmp_buf back;
	bool alone;
	int current; /* -1: none */
	int acting;
	uint32_t step, undivided;
	int64_t clock;
	char failure[1024];
	bool failed;
	int membarriers; /* left; negative: no end */
	struct fibre fibre[FIBRES];
	int fibres;
	struct view total_order; /* what sequentially consistent accesses have made known */
	struct word word[WORDS_MAX];
	uint32_t words;
	uint16_t index[4 * WORDS_MAX];
	uint16_t *views;
	uint32_t views_used;
	void (*key_end[KEYS])(void *);
	int keys;
	struct choice chosen[CHOICES_MAX];
	uint32_t choices;
	/* replay */
	struct choice script[CHOICES_MAX];
	uint32_t script_length, script_at;
	/* search by order */
	struct node *node;
	uint32_t depth, planned;
	struct sched_bounds bound, spent;
	bool searching; /* see sched_search */
	bool widened;   /* a word turned out to be contended that was not known to be */
	/* by chance */
	uint64_t rng;
	int odds, changes;
	uint32_t change_at[8];
	uint32_t usual_length;
	/* the program under test */
	char *image;
	char *arena;
	size_t arena_used;
	char *locals_image;
	size_t locals_size;
	void *locals;
};

extern struct engine *sched_engine;

/* point.c */
void engine_point(void);
void engine_pick_next(void);
void engine_alone(void (*what)(void));

/* choose.c */
int engine_choose(const struct option *option, int n);
uint64_t engine_rng(void);
uint32_t engine_below(uint32_t bound);

/* sched.c */
void engine_say(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* memory.c */
#define VIEWS_BYTES (64u << 20)
void memory_reset(void);
void memory_freed(const char *begin, size_t size);
void memory_settle(int fibre);
void memory_fence(int fibre);
void memory_fence_brought(int fibre);
const char *memory_name(const volatile void *word);
void memory_woken(int fibre, const volatile void *word);
bool memory_is(const volatile void *word, unsigned size, uint64_t expected);
/* Addresses that more than one thread touches and somebody writes, over all executions. */
void memory_forget_classes(void);

/* fibre.c */
void fibres_make(void);
void fibres_reset(void);
void fibre_switch(int to);
_Noreturn void fibre_leave(int to);
void fibre_run_ends(void);
_Noreturn void engine_back(void);

/* arena.c */
#define ARENA_BYTES (64u << 20)
void arena_reset(void);

/* image.c */
void image_take(void);
void image_restore(void);

#endif
