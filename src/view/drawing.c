/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Idea. The keeper writes a picture into the place that does not hold the last one, and then moves
 * the count of pictures, which says which place that is. So whoever looks finds a whole picture
 * however long the writer is stopped in the middle of the next; and a digest says whether what he
 * read was one, as two may be drawn while he reads.
 *
 * By pwrite, not by a mapping: where memory for the file runs out, or somebody cuts it short, a
 * write fails and a mapping raises SIGBUS in a program that did nothing wrong. What cannot be
 * written is not shown; that is all that follows.
 *
 * Each record goes through a small buffer, so nothing is allocated, however much is to be shown.
 */
#include "view/drawing.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <weir/version.h>

#include "base/atomic.h"
#include "base/fork.h"
#include "base/text.h"
#include "view/home.h"
#include "view/life.h"

/* Between sweeps of this process. */
#define SWEEP_S 60
#define NAMES_TRIED 64

static int64_t clock_ns(clockid_t clock)
{
	struct timespec t;

	clock_gettime(clock, &t);
	return t.tv_sec * INT64_C(1000000000) + t.tv_nsec;
}

/* ---- the file ---- */

static bool write_all(int file, const void *bytes, size_t size, uint64_t at)
{
	const char *from = bytes;

	while (size) {
		ssize_t n = pwrite(file, from, size, (off_t)at);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return false;
		from += n;
		at += (uint64_t)n;
		size -= (size_t)n;
	}
	return true;
}

static bool write_head(int file, uint32_t number, bool is_router, const char *application)
{
	struct wi_view_head head = {
		.magic = WI_VIEW_MAGIC,
		.version = WI_VIEW_VERSION,
		.size = sizeof(head),
		.place_at = {WI_VIEW_PLACES_AT, WI_VIEW_PLACES_AT + WI_VIEW_PLACE_ROOM},
		.place_room = WI_VIEW_PLACE_ROOM,
		.pid = getpid(),
		.start = wi_life_start(getpid()),
		.pid_space = wi_life_pid_space(),
		.opened_ns = clock_ns(CLOCK_MONOTONIC),
		.opened_ms = clock_ns(CLOCK_REALTIME) / 1000000,
		.number = number,
		.is_router = is_router,
	};

	wi_copy(head.program, sizeof(head.program), program_invocation_short_name);
	wi_copy(head.application, sizeof(head.application), application);
	wi_copy(head.library, sizeof(head.library), weir_version());
	return write_all(file, &head, sizeof(head), 0);
}

/*
 * A new file of a name that nobody has: another process of this number may be in another namespace,
 * or have left one.
 */
static int make_file(int home, uint32_t *number, char *name, size_t room)
{
	static _Atomic uint32_t numbers; /* (a) of this process's pools and routers so far */
	int file = -1;

	for (int i = 0; i < NAMES_TRIED && file < 0; i++) {
		*number = wi_add_rlx(&numbers, 1) + 1;
		snprintf(name, room, "%lld-%u", (long long)getpid(), *number);
		file = openat(home, name, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC,
		              S_IRUSR | S_IWUSR);
		if (file < 0 && errno != EEXIST)
			return -1;
	}
	return file;
}

static void sweep_sometimes(int home)
{
	static _Atomic int64_t swept_ns; /* (a) */
	int64_t now_ns = clock_ns(CLOCK_MONOTONIC), last_ns = wi_load_rlx(&swept_ns);

	if (last_ns && now_ns - last_ns < SWEEP_S * INT64_C(1000000000))
		return;
	wi_store_rlx(&swept_ns, now_ns);
	wi_home_sweep(home);
}

/* Beyond the limit of a file's size a write is a signal. */
static bool may_write(const char **why)
{
	struct rlimit size;

	*why = "the limit of a file's size is too low (ulimit -f)";
	return !getrlimit(RLIMIT_FSIZE, &size) &&
	       size.rlim_cur >= WI_VIEW_PLACES_AT + 2 * WI_VIEW_PLACE_ROOM;
}

static bool begin_in(struct wi_drawing *d, const char *directory, bool is_router,
                     const char *application, const char **why)
{
	int home = may_write(why) ? wi_home_make(directory, why) : -1;
	char name[WEIR_VIEW_NAME];
	uint32_t number = 0;

	if (home < 0)
		return false;
	sweep_sometimes(home);
	d->file = make_file(home, &number, name, sizeof(name));
	close(home);
	*why = "no file can be made there";
	if (d->file < 0)
		return false;
	snprintf(d->path, sizeof(d->path), "%s/%s", directory, name);
	d->begun = true;
	d->posts = 0;
	d->epoch = wi_load_rlx(&wi_fork_epoch);
	if (write_head(d->file, number, is_router, application))
		return true;
	wi_drawing_end(d);
	return false;
}

weir_status wi_drawing_begin(struct wi_drawing *d, const char *where, bool is_router,
                             const char *application, weir_error *error)
{
	char homes[WI_HOMES][WEIR_VIEW_DIRECTORY];
	const char *why = "its name is too long";
	size_t n;

	d->begun = false;
	if (strcmp(where, "off") == 0)
		return WEIR_OK;
	if (where[0] == '/') {
		if (strlen(where) < WEIR_VIEW_DIRECTORY &&
		    begin_in(d, where, is_router, application, &why))
			return WEIR_OK;
		return wi_fail(error, WEIR_INVALID, "view=%s: %s", where, why);
	}
	if (strcmp(where, "on") != 0)
		return wi_fail(error, WEIR_INVALID,
		               "view is on, off, or a directory by its whole path, not %s", where);
	n = wi_homes(homes, false);
	for (size_t i = 0; i < n && !d->begun; i++)
		(void)begin_in(d, homes[i], is_router, application, &why);
	return WEIR_OK;
}

void wi_drawing_end(struct wi_drawing *d)
{
	if (!d->begun)
		return;
	d->begun = false;
	close(d->file);
	if (d->epoch == wi_load_rlx(&wi_fork_epoch))
		(void)unlink(d->path);
}

bool wi_drawing_is_wanted(const struct wi_drawing *d, int64_t now_ns)
{
	int64_t at_ns;

	return d->begun &&
	       pread(d->file, &at_ns, sizeof(at_ns), WI_VIEW_WANTED_AT) == (ssize_t)sizeof(at_ns) &&
	       at_ns > 0 && at_ns <= now_ns && now_ns - at_ns < WI_VIEW_WANTED_NS;
}

/* ---- a picture ---- */

static void flush(struct wi_pen *pen)
{
	if (!pen->failed && pen->at + pen->fill <= pen->end)
		pen->failed = !write_all(pen->drawing->file, pen->buffer, pen->fill, pen->at);
	else
		pen->failed = true;
	pen->at += pen->fill;
	pen->fill = 0;
}

void wi_pen_begin(struct wi_pen *pen, struct wi_drawing *d)
{
	pen->drawing = d;
	pen->at = WI_VIEW_PLACES_AT + (d->posts + 1) % 2 * WI_VIEW_PLACE_ROOM;
	pen->end = pen->at + WI_VIEW_PLACE_ROOM;
	pen->at += sizeof(struct wi_view_picture); /* comes last */
	pen->digest = WI_VIEW_DIGEST;
	pen->fill = 0;
	pen->failed = false;
}

void wi_pen_add(struct wi_pen *pen, const void *record, size_t size)
{
	const char *from = record;

	pen->digest = wi_view_digest(pen->digest, record, size);
	while (size) {
		size_t n = sizeof(pen->buffer) - pen->fill;

		if (n > size)
			n = size;
		memcpy(pen->buffer + pen->fill, from, n);
		pen->fill += n;
		from += n;
		size -= n;
		if (pen->fill == sizeof(pen->buffer))
			flush(pen);
	}
}

bool wi_pen_end(struct wi_pen *pen, struct wi_view_picture *head)
{
	struct wi_drawing *d = pen->drawing;
	uint64_t number = d->posts + 1, begin = pen->end - WI_VIEW_PLACE_ROOM;

	flush(pen);
	head->number = number;
	head->bytes = pen->at - begin;
	head->digest = 0;
	head->size = sizeof(*head);
	head->host_size = sizeof(struct wi_view_host);
	head->holder_size = sizeof(struct wi_view_holder);
	head->waiter_size = sizeof(struct wi_view_waiter);
	head->event_size = sizeof(struct wi_view_event);
	head->digest = wi_view_digest(pen->digest, head, sizeof(*head));
	if (pen->failed || !write_all(d->file, head, sizeof(*head), begin) ||
	    !write_all(d->file, &number, sizeof(number), WI_VIEW_POSTS_AT))
		return false;
	d->posts = number;
	return true;
}
