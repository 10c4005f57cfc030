/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The program's own variables: all of .data and .bss, as the linker's symbols bound them, are put
 * back before each execution, so that no execution knows of another. What must not be put back (the
 * scheduler's own state) lies elsewhere, behind the one pointer sched_engine.
 *
 * And memory: in the place of src/base/alloc.c and room.c, blocks come one after the other from an
 * area that is begun anew with each execution, so that addresses repeat; what is freed is poisoned
 * and never used again.
 */
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/room.h"
#include "base/secret.h"
#include "sched/engine.h"

extern char __data_start[], _end[];

void image_take(void)
{
	sched_engine->image = malloc((size_t)(_end - __data_start));
	memcpy(sched_engine->image, __data_start, (size_t)(_end - __data_start));
}

void image_restore(void)
{
	struct engine *e = sched_engine;

	memcpy(__data_start, e->image, (size_t)(_end - __data_start));
	memset(e->arena, 0, e->arena_used);
	e->arena_used = 0;
}

void *wi_alloc_aligned(size_t size, size_t align)
{
	struct engine *e = sched_engine;
	size_t at = (e->arena_used + align - 1) / align * align;

	if (at + size > ARENA_BYTES)
		sched_fail("the scheduler's arena is full");
	e->arena_used = at + size;
	return e->arena + at;
}

void *wi_alloc(size_t size)
{
	return wi_alloc_aligned(size, 64);
}

void wi_free(void *memory, size_t size)
{
	if (!memory)
		return;
	memory_freed(memory, size);
	memset(memory, 0xdb, size);
}

bool wi_room_open(struct wi_room *room, size_t ready, size_t modest, size_t most, size_t align)
{
	(void)ready;
	(void)most;
	room->base = wi_alloc_aligned(modest, align);
	room->bytes = modest;
	return true;
}

bool wi_room_grow(struct wi_room *room, size_t ready)
{
	return ready <= room->bytes;
}

void wi_room_close(struct wi_room *room)
{
	wi_free(room->base, room->bytes);
	room->base = NULL;
}

char *wi_strdup(const char *text)
{
	size_t size = strlen(text) + 1;
	char *copy = wi_alloc(size);

	return memcpy(copy, text, size);
}

void wi_strfree(char *text)
{
	if (text)
		wi_free(text, strlen(text) + 1);
}

void *wi_secret_alloc(size_t size)
{
	return wi_alloc(size);
}

void wi_secret_free(void *memory, size_t size)
{
	wi_free(memory, size);
}

char *wi_secret_strdup(const char *text)
{
	return wi_strdup(text);
}

void wi_secret_strfree(char *text)
{
	wi_strfree(text);
}
