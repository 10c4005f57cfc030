/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The file of a view: what is drawn is read as it was; what is torn, cut, planted, or written to do
 * harm is refused or harmless; and what dead processes leave is swept out.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include <weir/weir.h>

#include "base/atomic.h"
#include "base/clock.h"
#include "base/rng.h"
#include "support/threads.h"
#include "support/watchdog.h"
#include "view/decode.h"
#include "view/drawing.h"
#include "view/format.h"
#include "view/home.h"
#include "view/life.h"

static char directory[64];
static struct wi_drawing drawing;
static weir_view *view;
static char file[128], name[WEIR_VIEW_NAME];

static int set_up(void **state)
{
	(void)state;
	test_watchdog(120, "views");
	snprintf(directory, sizeof(directory), "/dev/shm/weir-unit-%d", (int)getpid());
	return 0;
}

static int tear_down(void **state)
{
	char command[128];

	(void)state;
	weir_view_close(&view);
	wi_drawing_end(&drawing);
	snprintf(command, sizeof(command), "rm -rf %s", directory);
	test_watchdog(0, "");
	return system(command);
}

static void begin(void)
{
	weir_view_entry entry;

	assert_int_equal(wi_drawing_begin(&drawing, directory, true, "unit", NULL), WEIR_OK);
	assert_true(drawing.begun);
	assert_int_equal(weir_view_list(directory, &entry, 1), 1);
	memcpy(name, entry.name, sizeof(name));
	snprintf(file, sizeof(file), "%s/%s", directory, name);
}

/* Hosts, holders and waiters that all say n, so that a mixture would be seen. */
static bool draw_as(uint32_t n_holders, int64_t n, int64_t age_ns, int32_t keeper)
{
	struct wi_pen pen;
	struct wi_view_picture head = {.at_ns = wi_now_ns() - age_ns, .keeper = keeper};
	struct wi_view_holder holder = {.held_ns = n, .flags = WI_VIEW_HELD_IS_KNOWN};
	struct wi_view_waiter waiter = {.waited_ns = n, .thread = 7, .tag = "w"};
	struct wi_view_host record;
	weir_host_stats host = {.host = "h1:5432", .role = WEIR_ROLE_REPLICA, .lsn = (uint64_t)n};

	host.pool.busy = n_holders;
	host.pool.closed[WEIR_CLOSE_IDLE] = 5;
	host.pool.wait.p99_ns = 99;
	memset(host.last_error, 'e', sizeof(host.last_error) - 1);
	head.interval_ms = 100;
	head.no_primary_ns = -1;
	head.n_hosts = 1;
	head.n_holders = n_holders;
	head.n_waiters = 1;
	head.holders_total = n_holders + 1;
	wi_pen_begin(&pen, &drawing);
	wi_view_host_put(&record, &host);
	wi_pen_add(&pen, &record, sizeof(record));
	for (uint32_t i = 0; i < n_holders; i++)
		wi_pen_add(&pen, &holder, sizeof(holder));
	wi_pen_add(&pen, &waiter, sizeof(waiter));
	return wi_pen_end(&pen, &head);
}

static bool draw(uint32_t n_holders, int64_t n)
{
	return draw_as(n_holders, n, 0, (int32_t)gettid());
}

static void open_view(void)
{
	weir_view_close(&view);
	assert_int_equal(weir_view_open(directory, name, &view, NULL), WEIR_OK);
}

static void what_is_drawn_is_read(void **state)
{
	int64_t before_ns, after_ns;
	weir_view_picture p;

	(void)state;
	begin();
	open_view();
	assert_int_equal(weir_view_read(view, &p, NULL), WEIR_OK);
	assert_int_equal(p.state, WEIR_VIEW_STARTING);
	assert_int_equal(p.age_ns, -1);
	assert_true(draw(2, 1000));
	assert_int_equal(weir_view_read(view, &p, NULL), WEIR_OK);
	/* unless this very thread stood still in between */
	assert_true(p.state == WEIR_VIEW_LIVE || p.age_ns > 3 * WI_SEC);
	assert_int_equal(p.number, 1);
	assert_int_equal(p.n_hosts, 1);
	assert_string_equal(p.hosts[0].host, "h1:5432");
	assert_string_equal(p.hosts[0].pool.host, "h1:5432");
	assert_int_equal(p.hosts[0].role, WEIR_ROLE_REPLICA);
	assert_int_equal(p.hosts[0].lsn, 1000);
	assert_int_equal(p.hosts[0].pool.closed[WEIR_CLOSE_IDLE], 5);
	assert_int_equal(p.hosts[0].pool.wait.p99_ns, 99);
	assert_int_equal(strlen(p.hosts[0].last_error), 511); /* as far as there is room */
	assert_int_equal(p.n_holders, 2);
	assert_int_equal(p.holders_total, 3);
	assert_true(p.holders[0].held_ns >= 1000);
	assert_int_equal(p.waiters[0].thread, 7);
	assert_string_equal(p.waiters[0].tag, "w");
	/* Who looks has said so, at some moment between these two. */
	before_ns = wi_now_ns();
	assert_int_equal(weir_view_read(view, &p, NULL), WEIR_OK);
	after_ns = wi_now_ns();
	assert_false(wi_drawing_is_wanted(&drawing, before_ns - 1));
	assert_true(wi_drawing_is_wanted(&drawing, before_ns + WI_VIEW_WANTED_NS - 1) ||
	            after_ns - before_ns >= WI_VIEW_WANTED_NS);
	assert_false(wi_drawing_is_wanted(&drawing, after_ns + WI_VIEW_WANTED_NS));
	/* Closing takes it away; who still looks learns that. */
	wi_drawing_end(&drawing);
	assert_int_equal(access(file, F_OK), -1);
	assert_int_equal(weir_view_read(view, &p, NULL), WEIR_OK);
	assert_int_equal(p.state, WEIR_VIEW_CLOSED);
}

/* What is held goes on while nobody draws. */
static void a_keeper_that_hangs_is_told_from_one_that_is_gone(void **state)
{
	weir_view_picture p;

	(void)state;
	begin();
	open_view();
	assert_true(draw_as(1, 1000, 10 * WI_SEC, (int32_t)gettid()));
	assert_int_equal(weir_view_read(view, &p, NULL), WEIR_OK);
	assert_int_equal(p.state, WEIR_VIEW_SILENT);
	assert_non_null(strstr(p.words, "its keeper hangs: last picture 1"));
	assert_true(p.age_ns >= 10 * WI_SEC && p.entry.age_ms >= 10000);
	assert_int_equal(p.holders[0].held_ns, 1000 + p.age_ns);
	assert_true(draw_as(1, 1000, 0, 1 << 30));
	assert_int_equal(weir_view_read(view, &p, NULL), WEIR_OK);
	assert_int_equal(p.state, WEIR_VIEW_REPLACED);
	assert_int_equal(p.holders[0].held_ns, 1000);
	/* A time to come, or none, is no age. */
	assert_true(draw_as(1, 1000, -100 * WI_SEC, (int32_t)gettid()));
	assert_int_equal(weir_view_read(view, &p, NULL), WEIR_OK);
	assert_int_equal(p.age_ns, 0);
	assert_int_equal(p.state, WEIR_VIEW_LIVE);
}

static void overwrite(uint64_t at, const void *bytes, size_t size)
{
	assert_int_equal(pwrite(drawing.file, bytes, size, (off_t)at), size);
}

static uint64_t place_of(uint64_t number)
{
	return WI_VIEW_PLACES_AT + number % 2 * WI_VIEW_PLACE_ROOM;
}

static void a_torn_picture_is_none(void **state)
{
	weir_view_picture p;
	uint64_t nonsense = 12345, posts = 2;

	(void)state;
	begin();
	open_view();
	assert_true(draw(3, 1));
	/* The writer is stopped in the middle of the next one: the last one is whole. */
	overwrite(place_of(2) + 64, &nonsense, sizeof(nonsense));
	assert_int_equal(weir_view_read(view, &p, NULL), WEIR_OK);
	assert_int_equal(p.number, 1);
	/* As if that had been shown all the same. */
	overwrite(WI_VIEW_POSTS_AT, &posts, sizeof(posts));
	assert_int_equal(weir_view_read(view, &p, NULL), WEIR_UNAVAILABLE);
	assert_true(draw(3, 2));
	assert_int_equal(weir_view_read(view, &p, NULL), WEIR_OK);
	assert_int_equal(p.number, 2);
	/* One word of it is another. */
	overwrite(place_of(2) + sizeof(struct wi_view_picture) + 8, &nonsense, sizeof(nonsense));
	assert_int_equal(weir_view_read(view, &p, NULL), WEIR_UNAVAILABLE);
	/* The file is cut. */
	assert_true(draw(3, 3));
	assert_int_equal(ftruncate(drawing.file, (off_t)place_of(3) + 200), 0);
	assert_int_equal(weir_view_read(view, &p, NULL), WEIR_UNAVAILABLE);
	assert_int_equal(ftruncate(drawing.file, 0), 0);
	assert_int_equal(weir_view_read(view, &p, NULL), WEIR_OK);
	assert_int_equal(p.state, WEIR_VIEW_STARTING);
	assert_true(draw(3, 4)); /* and the writer goes on */
}

/* ---- a writer and readers at once ---- */

static _Atomic bool stop;

static void *read_all_the_time(void *arg)
{
	weir_view_picture p;
	weir_view *mine;
	intptr_t wrong = 0, whole = 0;

	(void)arg;
	if (weir_view_open(directory, name, &mine, NULL) != WEIR_OK)
		return (void *)-1;
	while (!wi_load_seq(&stop) || !whole) {
		/* A writer that draws without a pause may tear it each time: no other excuse. */
		if (weir_view_read(mine, &p, NULL) != WEIR_OK || p.n_hosts == 0)
			continue;
		whole++;
		for (size_t i = 0; i < p.n_holders; i++)
			wrong += p.holders[i].held_ns - p.age_ns != (int64_t)p.hosts[0].lsn;
		wrong += p.waiters[0].waited_ns - p.age_ns != (int64_t)p.hosts[0].lsn;
		wrong += p.n_holders != p.hosts[0].pool.busy;
	}
	weir_view_close(&mine);
	return (void *)wrong;
}

static void readers_see_whole_pictures_only(void **state)
{
	pthread_t reader[3];
	int64_t end_ns = wi_now_ns() + (int64_t)(test_seconds(0.6) * WI_SEC), n = 1;
	void *wrong;

	(void)state;
	begin();
	wi_store_seq(&stop, false);
	for (int i = 0; i < 3; i++)
		assert_int_equal(pthread_create(&reader[i], NULL, read_all_the_time, NULL), 0);
	do /* one at least, or the readers would wait for it for ever */
		assert_true(draw((uint32_t)(n % 200), n));
	while (n++, wi_now_ns() < end_ns);
	wi_store_seq(&stop, true);
	for (int i = 0; i < 3; i++) {
		assert_int_equal(pthread_join(reader[i], &wrong), 0);
		assert_int_equal((intptr_t)wrong, 0);
	}
}

/* ---- content that means harm ---- */

/* The digest over whatever is there now: what is past it is believed by nobody. */
static void sign(unsigned char *bytes, size_t size)
{
	struct wi_view_picture head;
	uint64_t digest;
	size_t first;

	memcpy(&head, bytes, sizeof(head));
	head.bytes = size;
	head.digest = 0;
	memcpy(bytes, &head, sizeof(head));
	first = head.size % 8 == 0 && head.size <= size ? head.size : sizeof(head);
	digest = wi_view_digest(WI_VIEW_DIGEST, bytes + first, size - first);
	head.digest = wi_view_digest(digest, bytes, first);
	memcpy(bytes, &head, sizeof(head));
}

static void check_sane(const struct wi_decoded *d)
{
	for (size_t i = 0; i < d->n_hosts; i++) {
		assert_true((unsigned)d->hosts[i].role <= WEIR_ROLE_REPLICA);
		assert_true(d->hosts[i].pool.breaker <= WEIR_BREAKER_HALF_OPEN);
		assert_non_null(memchr(d->hosts[i].last_error, 0, sizeof(d->hosts[i].last_error)));
	}
	for (size_t i = 0; i < d->n_holders; i++) {
		assert_true(d->holders[i].host < d->n_hosts);
		assert_true(d->holders[i].reason < WEIR_REASONS);
		for (const char *c = d->holders[i].tag; *c; c++)
			assert_true((unsigned char)*c >= 0x20 && *c != 0x7f);
	}
	for (size_t i = 0; i < d->n_waiters; i++)
		assert_true(d->waiters[i].host < d->n_hosts && d->waiters[i].waited_ns >= 0);
}

static size_t sample(unsigned char *bytes, size_t room)
{
	ssize_t n;

	begin();
	assert_true(draw(4, 77));
	n = pread(drawing.file, bytes, room, (off_t)place_of(1));
	assert_true(n > 0);
	return (size_t)n;
}

static void whatever_the_file_says(void **state)
{
	static unsigned char good[16384], bad[16384];
	size_t size = sample(good, sizeof(good));
	struct wi_rng rng;
	struct wi_decoded d;
	const char *rounds = getenv("TEST_ROUNDS");
	int n = rounds ? atoi(rounds) : 20000 / test_slowness(), decoded = 0;

	(void)state;
	assert_int_equal(wi_decode(good, size, &d), WI_DECODE_OK);
	wi_decoded_fini(&d);
	wi_rng_seed(&rng, test_seed());
	for (int i = 0; i < n; i++) {
		size_t part = size - (wi_rng_next(&rng) % 4 ? 0 : wi_rng_next(&rng) % size);
		int changes = 1 + (int)(wi_rng_next(&rng) % 4);

		memcpy(bad, good, size);
		for (int k = 0; k < changes; k++) {
			/* the head more often than the rest */
			size_t at = wi_rng_next(&rng) %
			            (wi_rng_next(&rng) % 2 ? sizeof(struct wi_view_picture) : size);

			bad[at] = (unsigned char)wi_rng_next(&rng);
		}
		if (wi_rng_next(&rng) % 8 && part >= sizeof(struct wi_view_picture))
			sign(bad, part);
		if (wi_decode(bad, part, &d) == WI_DECODE_OK) {
			check_sane(&d);
			decoded++;
		}
		wi_decoded_fini(&d);
	}
	assert_true(decoded > n / 50); /* else little was tried */
}

static void a_longer_record_is_understood(void **state)
{
	static unsigned char good[16384], longer[16384];
	size_t size = sample(good, sizeof(good)), at = sizeof(struct wi_view_picture);
	struct wi_view_picture head;
	struct wi_decoded d;
	size_t grown = at + sizeof(struct wi_view_host) + 16;

	(void)state;
	memcpy(&head, good, sizeof(head));
	head.host_size += 16; /* a later version knows two numbers more of a host */
	head.bytes = size + 16;
	memcpy(longer, &head, sizeof(head));
	memcpy(longer + at, good + at, sizeof(struct wi_view_host));
	memset(longer + grown - 16, 0xff, 16);
	memcpy(longer + grown, good + grown - 16, size + 16 - grown);
	sign(longer, size + 16);
	assert_int_equal(wi_decode(longer, size + 16, &d), WI_DECODE_OK);
	assert_int_equal(d.hosts[0].lsn, 77);
	assert_int_equal(d.holders[3].held_ns, 77);
	wi_decoded_fini(&d);
}

static void texts_are_made_clean(void **state)
{
	char to[16];

	(void)state;
	wi_view_text_get(to, sizeof(to), "\033[2J\n\x7f", 8);
	assert_string_equal(to, " [2J  ");
	wi_view_text_get(to, sizeof(to), "\xc3\xa9\xc2\x9b\xff",
	                 5); /* a letter, a C1 control, no UTF-8 */
	assert_string_equal(to, "\xc3\xa9???");
	wi_view_text_get(to, 4, "abcdef", 6);
	assert_string_equal(to, "abc");
	wi_view_text_get(to, 4, "ab\xc3\xa9", 4); /* no half of a letter */
	assert_string_equal(to, "ab");
	wi_view_text_get(to, sizeof(to), "ab", 1);
	assert_string_equal(to, "a");
}

/* ---- files that were planted ---- */

static void what_is_planted_is_left_out(void **state)
{
	char path[160];
	weir_view *v;

	(void)state;
	begin();
	assert_true(draw(1, 1));
	snprintf(path, sizeof(path), "%s/1-1", directory);
	assert_int_equal(symlink(file, path), 0);
	assert_int_equal(weir_view_open(directory, "1-1", &v, NULL), WEIR_UNAVAILABLE);
	unlink(path);
	assert_int_equal(mkfifo(path, 0600), 0);
	assert_int_equal(weir_view_open(directory, "1-1", &v, NULL), WEIR_UNAVAILABLE);
	unlink(path);
	assert_int_equal(weir_view_open(directory, "../x", &v, NULL), WEIR_INVALID);
	assert_int_equal(weir_view_open(directory, "nobody", &v, NULL), WEIR_UNAVAILABLE);
	/* A second name for the file, in the directory or elsewhere. */
	assert_int_equal(link(file, path), 0);
	assert_int_equal(weir_view_open(directory, name, &v, NULL), WEIR_UNAVAILABLE);
	unlink(path);
	open_view();
	/* Where others may write nobody is believed, and nothing is drawn. */
	assert_int_equal(chmod(directory, 0777), 0);
	assert_int_equal(weir_view_open(directory, name, &v, NULL), WEIR_UNAVAILABLE);
	assert_int_equal(weir_view_list(directory, NULL, 0), 0);
	wi_drawing_end(&drawing);
	assert_int_equal(wi_drawing_begin(&drawing, directory, true, "", NULL), WEIR_INVALID);
	assert_int_equal(chmod(directory, 0700), 0);
	if (geteuid() == 0) { /* a file that is not its directory's owner's, and such a directory */
		begin();
		assert_int_equal(chown(file, 65534, 65534), 0);
		assert_int_equal(weir_view_open(directory, name, &v, NULL), WEIR_UNAVAILABLE);
		wi_drawing_end(&drawing);
		assert_int_equal(chown(directory, 65534, 65534), 0);
		assert_int_equal(wi_drawing_begin(&drawing, directory, true, "", NULL),
		                 WEIR_INVALID);
	}
}

static void the_option_is_checked(void **state)
{
	weir_error e;
	struct stat s;

	(void)state;
	assert_int_equal(wi_drawing_begin(&drawing, "off", true, "", &e), WEIR_OK);
	assert_false(drawing.begun);
	assert_int_equal(wi_drawing_begin(&drawing, "somewhere", true, "", &e), WEIR_INVALID);
	assert_non_null(strstr(e.text, "view is on, off, or a directory"));
	assert_int_equal(wi_drawing_begin(&drawing, "/proc/self", true, "", &e), WEIR_INVALID);
	assert_int_equal(wi_drawing_begin(&drawing, "/dev/shm/no/such", true, "", &e),
	                 WEIR_INVALID);
	begin();
	assert_int_equal(stat(file, &s), 0);
	assert_int_equal(s.st_mode & 07777, 0600);
	assert_int_equal(stat(directory, &s), 0);
	assert_int_equal(s.st_mode & 07777, 0700);
}

/* Memory for the file has run out, or its size has a limit: the last picture stays, no signal. */
static void what_cannot_be_written_is_not_shown(void **state)
{
	int full = open("/dev/full", O_RDWR | O_CLOEXEC), kept;
	weir_view_picture p;
	pid_t pid;
	int status;

	(void)state;
	begin();
	open_view();
	assert_true(draw(1, 1));
	kept = dup(drawing.file);
	assert_int_equal(dup2(full, drawing.file), drawing.file);
	assert_false(draw(1, 2));
	assert_int_equal(dup2(kept, drawing.file), drawing.file);
	close(kept);
	close(full);
	assert_int_equal(weir_view_read(view, &p, NULL), WEIR_OK);
	assert_int_equal(p.number, 1);
	assert_true(draw(1, 3));
	assert_int_equal(weir_view_read(view, &p, NULL), WEIR_OK);
	assert_int_equal(p.number, 2);
	pid = fork();
	if (!pid) {
		struct wi_drawing d = {.begun = false};
		struct rlimit none = {0, 0};
		weir_error e;

		if (setrlimit(RLIMIT_FSIZE, &none) ||
		    wi_drawing_begin(&d, "on", true, "", &e) != WEIR_OK || d.begun)
			_exit(1);
		_exit(wi_drawing_begin(&d, directory, true, "", &e) == WEIR_INVALID ? 0 : 2);
	}
	waitpid(pid, &status, 0);
	assert_int_equal(status, 0);
}

/* ---- sweeping ---- */

/* A view that a process has left which is gone, so many seconds ago. */
static void leave_one(int number, int64_t age_s)
{
	struct wi_view_head head;
	struct timespec times[2] = {{.tv_sec = time(NULL) - age_s}, {.tv_sec = time(NULL) - age_s}};
	char path[160];
	int fd;

	assert_int_equal(pread(drawing.file, &head, sizeof(head), 0), sizeof(head));
	head.start++; /* its number is somebody else's now */
	head.number = (uint32_t)number;
	snprintf(path, sizeof(path), "%s/%d-%d", directory, (int)getpid(), number);
	fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	assert_int_equal(pwrite(fd, &head, sizeof(head), 0), sizeof(head));
	assert_int_equal(futimens(fd, times), 0);
	close(fd);
}

static bool is_there(int number)
{
	char path[160];

	snprintf(path, sizeof(path), "%s/%d-%d", directory, (int)getpid(), number);
	return access(path, F_OK) == 0;
}

static void what_the_dead_leave_is_swept(void **state)
{
	weir_view_entry entry[32];
	uid_t owner;
	int home;

	(void)state;
	begin();
	home = wi_home_open(directory, &owner);
	leave_one(10001, 100);
	leave_one(10002, 4000); /* over an hour */
	wi_home_sweep(home);
	assert_true(is_there(10001));
	assert_false(is_there(10002));
	assert_int_equal(access(file, F_OK), 0);
	assert_int_equal(weir_view_list(directory, entry, 32), 2);
	assert_int_equal(entry[1].state, WEIR_VIEW_ENDED);
	for (int i = 0; i < 20; i++)
		leave_one(20000 + i, 50 + i);
	wi_home_sweep(home); /* sixteen are kept, the last ones */
	assert_true(is_there(20000));
	assert_true(is_there(20015));
	assert_false(is_there(20016));
	assert_false(is_there(10001));
	assert_int_equal(access(file, F_OK), 0);
	close(home);
}

static void a_process_is_told_from_another(void **state)
{
	uint64_t start = wi_life_start(getpid()), space = wi_life_pid_space();
	char text[32];

	(void)state;
	if (!start) {
		print_message("skipped: there is no /proc\n");
		return;
	}
	assert_int_equal(wi_life_of(getpid(), start, space), WI_LIFE_RUNS);
	assert_int_equal(wi_life_of(getpid(), start + 1, space), WI_LIFE_ENDED);
	assert_int_equal(wi_life_of(getpid(), start, space + 1), WI_LIFE_UNKNOWN);
	assert_true(wi_life_has_thread(getpid(), (int32_t)gettid()));
	assert_false(wi_life_has_thread(getpid(), 1 << 30));
	wi_life_thread_name(getpid(), 1 << 30, text, sizeof(text));
	assert_string_equal(text, "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(what) cmocka_unit_test_setup_teardown(what, set_up, tear_down)
		TEST(what_is_drawn_is_read),
		TEST(a_keeper_that_hangs_is_told_from_one_that_is_gone),
		TEST(a_torn_picture_is_none),
		TEST(readers_see_whole_pictures_only),
		TEST(whatever_the_file_says),
		TEST(a_longer_record_is_understood),
		TEST(texts_are_made_clean),
		TEST(what_is_planted_is_left_out),
		TEST(the_option_is_checked),
		TEST(what_cannot_be_written_is_not_shown),
		TEST(what_the_dead_leave_is_swept),
		TEST(a_process_is_told_from_another),
	};

	if (access("/dev/shm", W_OK)) {
		puts("skipped: there is no /dev/shm to draw into");
		return 77;
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
