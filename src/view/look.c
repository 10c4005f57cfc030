/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Looking: opening a view, reading its last picture, and what became of who drew it. Nothing of the
 * process is asked but its file, and /proc about it, so none of this waits for it.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/text.h"
#include "view/decode.h"
#include "view/home.h"
#include "view/life.h"
#include "view/look.h"

/* Two pictures in the time of a read make it torn: so often it is tried again. */
#define TRIES 8
#define SEC INT64_C(1000000000)
/* A keeper that has drawn nothing for so long, and so many times as long as it takes, hangs. */
#define SILENT_NS (3 * SEC)
#define SILENT_INTERVALS 5

struct weir_view {
	int file;
	bool stamps; /* the file may be written: whoever looks can say so */
	struct wi_view_head head;
	weir_view_entry entry;
	struct wi_decoded shown;
	unsigned char *bytes;
	size_t room;
};

static int64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * SEC + t.tv_nsec;
}

const char *weir_view_state_name(weir_view_state state)
{
	static const char *const names[] = {
		[WEIR_VIEW_LIVE] = "live",     [WEIR_VIEW_STARTING] = "starting",
		[WEIR_VIEW_SILENT] = "silent", [WEIR_VIEW_STOPPED] = "stopped",
		[WEIR_VIEW_ENDED] = "ended",   [WEIR_VIEW_REPLACED] = "replaced",
		[WEIR_VIEW_CLOSED] = "closed", [WEIR_VIEW_ELSEWHERE] = "elsewhere",
	};

	return (unsigned)state < sizeof(names) / sizeof(names[0]) ? names[state] : "unknown";
}

/* ---- reading a picture ---- */

static bool read_posts(const struct weir_view *v, uint64_t *posts)
{
	*posts = 0;
	/* A file that ends before it has none yet. */
	return pread(v->file, posts, sizeof(*posts), WI_VIEW_POSTS_AT) >= 0;
}

static bool room_for(struct weir_view *v, size_t size)
{
	unsigned char *more;

	if (size <= v->room)
		return true;
	more = wi_alloc(size);
	if (!more)
		return false;
	wi_free(v->bytes, v->room);
	v->bytes = more;
	v->room = size;
	return true;
}

/* The picture with this number. */
static enum wi_decode read_place(struct weir_view *v, uint64_t number, struct wi_decoded *to)
{
	off_t at = (off_t)v->head.place_at[number % 2];
	struct wi_view_picture head;
	ssize_t n = pread(v->file, &head, sizeof(head), at);

	if (n < (ssize_t)sizeof(head) || !wi_decode_head(&head, sizeof(head), &head) ||
	    head.number != number)
		return WI_DECODE_TORN;
	if (!room_for(v, (size_t)head.bytes))
		return WI_DECODE_NO_MEMORY;
	n = pread(v->file, v->bytes, (size_t)head.bytes, at);
	if (n < (ssize_t)head.bytes)
		return WI_DECODE_TORN;
	return wi_decode(v->bytes, (size_t)n, to);
}

/* The last picture, kept in v->shown; posts 0: there is none yet. */
static enum wi_decode read_last(struct weir_view *v, uint64_t *posts)
{
	for (int i = 0; i < TRIES; i++) {
		struct wi_decoded next = {.n_hosts = 0};
		enum wi_decode got;

		if (!read_posts(v, posts))
			return WI_DECODE_TORN;
		if (*posts == 0)
			return WI_DECODE_OK;
		got = read_place(v, *posts, &next);
		if (got == WI_DECODE_OK && next.head.number == *posts) {
			wi_decoded_fini(&v->shown);
			v->shown = next;
			return WI_DECODE_OK;
		}
		wi_decoded_fini(&next);
		if (got == WI_DECODE_NO_MEMORY)
			return got;
	}
	return WI_DECODE_TORN;
}

/* ---- what became of the process ---- */

static int64_t age_of(const struct wi_view_picture *head)
{
	int64_t now = now_ns();

	return head->at_ns > 0 && head->at_ns <= now ? now - head->at_ns : 0;
}

static bool is_silent(const struct wi_view_picture *head, int64_t age_ns)
{
	return age_ns > SILENT_NS && age_ns / SILENT_INTERVALS > head->interval_ms * (SEC / 1000);
}

static weir_view_state state_of(const struct weir_view *v, uint64_t posts)
{
	const struct wi_view_picture *p = &v->shown.head;
	struct stat s;

	if (!fstat(v->file, &s) && s.st_nlink == 0)
		return WEIR_VIEW_CLOSED;
	switch (wi_life_of(v->head.pid, v->head.start, v->head.pid_space)) {
	case WI_LIFE_UNKNOWN:
		return WEIR_VIEW_ELSEWHERE;
	case WI_LIFE_ENDED:
		return WEIR_VIEW_ENDED;
	case WI_LIFE_STOPPED:
		return WEIR_VIEW_STOPPED;
	case WI_LIFE_RUNS:
		break;
	}
	if (!posts)
		return WEIR_VIEW_STARTING;
	if (!wi_life_has_thread(v->head.pid, p->keeper))
		return WEIR_VIEW_REPLACED;
	return is_silent(p, age_of(p)) ? WEIR_VIEW_SILENT : WEIR_VIEW_LIVE;
}

static void add_age(struct wi_text *t, int64_t age_ns)
{
	int64_t s = age_ns / SEC;

	if (age_ns < 60 * SEC)
		wi_text_add(t, "%lld.%lld s", (long long)s, (long long)(age_ns / (SEC / 10) % 10));
	else if (s < 7200)
		wi_text_add(t, "%lld min", (long long)(s / 60));
	else
		wi_text_add(t, "%lld h", (long long)(s / 3600));
}

static void say_state(const struct weir_view *v, weir_view_picture *p)
{
	struct wi_text t;

	wi_text_init(&t, p->words, sizeof(p->words));
	switch (p->state) {
	case WEIR_VIEW_LIVE:
		wi_text_add(&t, "live");
		return;
	case WEIR_VIEW_STARTING:
		wi_text_add(&t, "nothing drawn yet");
		return;
	case WEIR_VIEW_SILENT:
		wi_text_add(&t, "the process runs, but its keeper hangs: last picture ");
		break;
	case WEIR_VIEW_STOPPED:
		wi_text_add(&t, "the process is stopped, by a signal or a debugger: last picture ");
		break;
	case WEIR_VIEW_ENDED:
		wi_text_add(&t, "process %lld has ended without closing it: last picture ",
		            (long long)v->head.pid);
		break;
	case WEIR_VIEW_REPLACED:
		wi_text_add(&t, "the process has no such keeper any more (exec?): last picture ");
		break;
	case WEIR_VIEW_CLOSED:
		wi_text_add(&t, "it was closed: last picture ");
		break;
	case WEIR_VIEW_ELSEWHERE:
		wi_text_add(&t, "its process is in another container: last picture ");
		break;
	}
	if (p->age_ns < 0) {
		wi_text_add(&t, "none");
		return;
	}
	add_age(&t, p->age_ns);
	wi_text_add(&t, " ago");
}

/* ---- what is shown ---- */

/* What goes on while nobody draws: as long as the process may go on where it is. */
static bool goes_on(weir_view_state state)
{
	return state == WEIR_VIEW_LIVE || state == WEIR_VIEW_SILENT || state == WEIR_VIEW_STOPPED ||
	       state == WEIR_VIEW_ELSEWHERE;
}

static void name_threads(struct weir_view *v)
{
	struct wi_decoded *d = &v->shown;

	for (size_t i = 0; i < d->n_holders; i++)
		if (!d->holders[i].thread_ended)
			wi_life_thread_name(v->head.pid, d->holders[i].thread,
			                    d->holders[i].thread_name,
			                    sizeof(d->holders[i].thread_name));
	for (size_t i = 0; i < d->n_waiters; i++)
		wi_life_thread_name(v->head.pid, d->waiters[i].thread, d->waiters[i].thread_name,
		                    sizeof(d->waiters[i].thread_name));
}

static void let_time_pass(struct wi_decoded *d, int64_t age_ns)
{
	for (size_t i = 0; i < d->n_holders; i++)
		if (d->holders[i].held_ns >= 0)
			d->holders[i].held_ns += age_ns;
	for (size_t i = 0; i < d->n_waiters; i++)
		d->waiters[i].waited_ns += age_ns;
	if (d->head.no_primary_ns >= 0)
		d->head.no_primary_ns += age_ns;
}

/* Those of whom it is not known for how long come last. */
static int longest_held_first(const void *a, const void *b)
{
	int64_t x = ((const weir_view_holder *)a)->held_ns,
		y = ((const weir_view_holder *)b)->held_ns;

	return x < y ? 1 : x > y ? -1 : 0;
}

static int longest_waited_first(const void *a, const void *b)
{
	int64_t x = ((const weir_view_waiter *)a)->waited_ns;
	int64_t y = ((const weir_view_waiter *)b)->waited_ns;

	return x < y ? 1 : x > y ? -1 : 0;
}

static void show(struct weir_view *v, weir_view_picture *p)
{
	struct wi_decoded *d = &v->shown;

	p->age_ns = age_of(&d->head);
	p->at_ms = d->head.at_ms;
	p->number = d->head.number;
	p->closing = d->head.flags & WI_VIEW_CLOSING;
	p->suspended = d->head.flags & WI_VIEW_SUSPENDED;
	p->split = d->head.flags & WI_VIEW_SPLIT;
	p->at_gate = d->head.at_gate;
	if (goes_on(p->state)) {
		let_time_pass(d, p->age_ns);
		if (p->state != WEIR_VIEW_ELSEWHERE)
			name_threads(v);
	}
	p->no_primary_ns = d->head.no_primary_ns;
	qsort(d->holders, d->n_holders, sizeof(*d->holders), longest_held_first);
	qsort(d->waiters, d->n_waiters, sizeof(*d->waiters), longest_waited_first);
	p->hosts = d->hosts;
	p->n_hosts = d->n_hosts;
	p->holders = d->holders;
	p->n_holders = d->n_holders;
	p->events = d->events;
	p->n_events = d->n_events;
	p->waiters = d->waiters;
	p->n_waiters = d->n_waiters;
	p->holders_total =
		d->head.holders_total > d->n_holders ? d->head.holders_total : d->n_holders;
	p->waiters_total =
		d->head.waiters_total > d->n_waiters ? d->head.waiters_total : d->n_waiters;
	memcpy(p->waits, d->head.waits, sizeof(p->waits));
}

void wi_view_be_quiet(weir_view *v)
{
	v->stamps = false;
}

/* Asks for more pictures, of whoever draws. */
static void stamp(struct weir_view *v)
{
	int64_t now = now_ns();

	if (v->stamps && pwrite(v->file, &now, sizeof(now), WI_VIEW_WANTED_AT) < 0)
		v->stamps = false;
}

weir_status weir_view_read(weir_view *v, weir_view_picture *p, weir_error *error)
{
	uint64_t posts;

	if (!v || !p)
		return wi_fail(error, WEIR_INVALID, "weir_view_read: an argument is NULL");
	memset(p, 0, sizeof(*p));
	p->age_ns = p->no_primary_ns = -1;
	stamp(v);
	switch (read_last(v, &posts)) {
	case WI_DECODE_NO_MEMORY:
		return wi_fail(error, WEIR_NO_MEMORY, "no memory for a picture");
	case WI_DECODE_TORN:
		return wi_fail(error, WEIR_UNAVAILABLE, "%s holds no whole picture", v->entry.name);
	case WI_DECODE_OK:
		break;
	}
	p->entry = v->entry;
	p->opened_ms = v->head.opened_ms;
	wi_copy(p->version, sizeof(p->version), v->head.library);
	p->state = state_of(v, posts);
	if (posts)
		show(v, p);
	say_state(v, p);
	p->entry.state = p->state;
	p->entry.age_ms = p->age_ns < 0 ? -1 : p->age_ns / (SEC / 1000);
	return WEIR_OK;
}

/* ---- opening ---- */

static void fill_entry(struct weir_view *v, const char *directory, const char *name, uid_t owner)
{
	weir_view_entry *e = &v->entry;
	struct wi_view_head *h = &v->head;
	char text[sizeof(h->application)];

	wi_copy(e->directory, sizeof(e->directory), directory);
	wi_copy(e->name, sizeof(e->name), name);
	e->owner = owner;
	e->pid = (int32_t)h->pid;
	e->number = h->number;
	e->router = h->is_router != 0;
	wi_view_text_get(e->program, sizeof(e->program), h->program, sizeof(h->program));
	wi_view_text_get(e->application, sizeof(e->application), h->application,
	                 sizeof(h->application));
	wi_view_text_get(text, sizeof(h->library), h->library, sizeof(h->library));
	wi_copy(h->library, sizeof(h->library), text);
	e->age_ms = -1;
}

static bool is_ours_to_read(struct weir_view *v, const char *name)
{
	uint32_t number;
	int64_t pid;

	return wi_home_head(v->file, &v->head) && wi_home_parse(name, &pid, &number) &&
	       v->head.pid == pid && v->head.number == number && v->head.place_at[0] <= INT32_MAX &&
	       v->head.place_at[1] <= INT32_MAX;
}

static bool open_file(struct weir_view *v, const char *directory, const char *name)
{
	uid_t owner = 0;
	int home = wi_home_open(directory, &owner);

	if (home < 0)
		return false;
	v->file = wi_home_file(home, name, owner, O_RDWR);
	v->stamps = v->file >= 0;
	if (v->file < 0 && (errno == EACCES || errno == EROFS))
		v->file = wi_home_file(home, name, owner, O_RDONLY);
	close(home);
	if (v->file < 0)
		return false;
	if (!is_ours_to_read(v, name)) {
		errno = EINVAL;
		return false;
	}
	fill_entry(v, directory, name, owner);
	return true;
}

weir_status weir_view_open(const char *directory, const char *name, weir_view **view,
                           weir_error *error)
{
	struct weir_view *v;
	char why[64];

	if (!directory || !name || !view)
		return wi_fail(error, WEIR_INVALID, "weir_view_open: an argument is NULL");
	*view = NULL;
	if (strchr(name, '/') || strlen(name) >= WEIR_VIEW_NAME)
		return wi_fail(error, WEIR_INVALID, "no view has such a name");
	v = wi_alloc(sizeof(*v));
	if (!v)
		return wi_fail(error, WEIR_NO_MEMORY, "no memory for a view");
	v->file = -1;
	if (!open_file(v, directory, name)) {
		int e = errno;

		weir_view_close(&v);
		if (e == EINVAL)
			return wi_fail(error, WEIR_UNAVAILABLE,
			               "%s/%s is no view that this weir can read", directory, name);
		return wi_fail(error, WEIR_UNAVAILABLE, "%s/%s: %s", directory, name,
		               strerror_r(e, why, sizeof(why)));
	}
	*view = v;
	return WEIR_OK;
}

void weir_view_close(weir_view **view)
{
	struct weir_view *v = view ? *view : NULL;

	if (!v)
		return;
	*view = NULL;
	if (v->file >= 0)
		close(v->file);
	wi_decoded_fini(&v->shown);
	wi_free(v->bytes, v->room);
	wi_free(v, sizeof(*v));
}
