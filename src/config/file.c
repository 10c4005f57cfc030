/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Options from a file, all or nothing. libinih reads its lines; what they mean, and in which line
 * something is wrong, is ours.
 *
 *	# for every pool
 *	pool_max = 20
 *	host = db1,db2
 *	[reports]            ; for the one that asks for this section, over the above
 *	pool_max = 4
 *	on_connect_sql = SET work_mem = '64MB';
 *		SET enable_seqscan = off
 *
 * A line that begins with a blank goes on with the value before it. libinih's lines have 198 bytes,
 * and it would read the rest of a longer one as a line of its own: it is refused instead.
 *
 * A file may hold a password. So it is read into memory that is wiped, whoever else may read it is
 * told, and the stack that libinih had its line on is written over.
 */
#include "config/file.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <ini.h>

#include "base/line.h"
#include "base/secret.h"
#include "base/text.h"
#include "config/env.h"
#include "config/value.h"

#define LARGEST (1 << 20)
#define VALUE_ROOM 4096
#define SHOWN_PATH 128

static const char *const parts[] = {"host", "port", "dbname", "user", "password"};

struct reading {
	const char *path, *section;
	const char *at, *end; /* what is left of the text */
	int line;             /* the one that was read last, from 1 */
	bool goes_on;         /* it begins with a blank: more of the value before it */
	bool has_comment;     /* it has a " ;", from where on libinih takes it for a comment */
	bool is_chosen;       /* its section is the one that was asked for, or none */
	bool in_section, found;
	char now[64]; /* the section that is read now */
	mode_t mode;

	/* the value that may yet go on */
	char name[64];
	int name_line;
	char *value; /* VALUE_ROOM bytes, wiped after */
	size_t length;
	bool is_cut; /* a line of it had a comment */

	int option_line[WI_OPTIONS], part_line[WI_ARRAY_LEN(parts)]; /* in this section */

	/* what it is for: one of the two */
	weir_options *options;
	struct wi_sources *sources;
	struct wi_parse *parse;
	bool said[WI_ARRAY_LEN(parts)]; /* by who is asked before the file */
	weir_status status;
	weir_error *error;
};

const char *wi_file_named(void)
{
	return wi_env_get("WEIR_CONFIG_FILE");
}

const char *wi_file_section(void)
{
	return wi_env_get("WEIR_CONFIG_SECTION");
}

/* ---- what is wrong ---- */

static const char *shown_path(const struct reading *r, char room[SHOWN_PATH])
{
	wi_copy_clean(room, SHOWN_PATH, r->path, NULL);
	return room;
}

static int fail_line(struct reading *r, int line, const char *what, const char *more)
{
	char path[SHOWN_PATH];

	if (r->status == WEIR_OK)
		r->status = wi_fail(r->error, WEIR_INVALID, "file %s, line %d: %s%s",
		                    shown_path(r, path), line, what, more);
	return 0;
}

static int fail_unknown(struct reading *r)
{
	const char *nearest = wi_option_nearest(r->name);
	char clean[64], text[160];
	struct wi_text t;

	if (!nearest)
		nearest = wi_nearest(r->name, parts, WI_ARRAY_LEN(parts));
	wi_copy_clean(clean, sizeof(clean), r->name, NULL);
	wi_text_init(&t, text, sizeof(text));
	wi_text_add(&t, "no option has the name %s%s%s%s", clean, nearest ? ": did you mean " : "",
	            nearest ? nearest : "", nearest ? "?" : "");
	return fail_line(r, r->name_line, text, "");
}

static int is_twice(struct reading *r, int *line)
{
	if (*line)
		return fail_line(r, r->name_line, r->name, " was given before");
	*line = r->name_line;
	return 1;
}

/* ---- values ---- */

/* In a text it may be SQL, or half a password: nobody is to find out later what was left of it. */
static int refuse_cut(struct reading *r)
{
	return fail_line(
		r, r->name_line, r->name,
		": from \" ;\" on it would be a comment; put that on a line of its own, or "
		"leave the blank out");
}

static int take_option(struct reading *r, const struct wi_option *row)
{
	weir_error cause;

	if (!is_twice(r, &r->option_line[wi_option_number_of(row)]))
		return 0;
	if (r->is_cut && row->shown.type == WEIR_OPTION_IS_TEXT)
		return refuse_cut(r);
	if (!r->is_chosen || !r->options)
		return 1;
	if (r->options->size < row->offset + wi_option_size(row))
		return fail_line(r, r->name_line, r->name,
		                 " is newer than the headers of this program");
	if (wi_value_set(row, r->options, r->value, true, &cause) != WEIR_OK)
		return fail_line(r, r->name_line, cause.text, "");
	r->sources->of[wi_option_number_of(row)] = r->path;
	return 1;
}

static int take_part(struct reading *r, size_t i)
{
	if (!is_twice(r, &r->part_line[i]))
		return 0;
	if (r->is_cut)
		return refuse_cut(r);
	if (strcmp(parts[i], "password") == 0 && (r->mode & (S_IRWXG | S_IRWXO)))
		return fail_line(
			r, r->name_line,
			"holds a password, and others than its owner may read it: chmod 600", "");
	if (!r->is_chosen || !r->parse || r->said[i])
		return 1;
	/* the section's word is the later one, and the last of a name wins */
	r->status = wi_parse_store(r->parse, parts[i], r->value);
	return r->status == WEIR_OK;
}

/* The value that was being read is whole. */
static int flush(struct reading *r)
{
	const struct wi_option *row;
	int good = 1;

	if (!*r->name || r->status != WEIR_OK)
		return r->status == WEIR_OK;
	row = wi_option_find(r->name);
	if (row) {
		good = take_option(r, row);
	} else {
		size_t i = 0;

		while (i < WI_ARRAY_LEN(parts) && strcmp(parts[i], r->name) != 0)
			i++;
		good = i < WI_ARRAY_LEN(parts) ? take_part(r, i) : fail_unknown(r);
	}
	r->name[0] = '\0';
	r->length = 0;
	return good;
}

static int add_value(struct reading *r, const char *value)
{
	size_t n = strlen(value);

	if (r->length + n + 2 > VALUE_ROOM)
		return fail_line(r, r->line, "the value is too long", "");
	if (r->length)
		r->value[r->length++] = ' ';
	memcpy(r->value + r->length, value, n + 1);
	r->length += n;
	return 1;
}

/* ---- lines ---- */

static void enter_section(struct reading *r, const char *section)
{
	wi_copy(r->now, sizeof(r->now), section);
	r->in_section = *section != '\0';
	r->is_chosen = !r->in_section || (r->section && strcmp(section, r->section) == 0);
	r->found = r->found || (r->in_section && r->is_chosen);
	memset(r->option_line, 0, sizeof(r->option_line));
	memset(r->part_line, 0, sizeof(r->part_line));
}

/* libinih: one name and its value, or a further line of it. */
static int hear(void *arg, const char *section, const char *name, const char *value)
{
	struct reading *r = arg;

	if (r->status != WEIR_OK)
		return 0;
	if (r->goes_on && *r->name && strcmp(r->name, name) == 0) {
		r->is_cut = r->is_cut || r->has_comment;
		return add_value(r, value);
	}
	if (!flush(r))
		return 0;
	if (strcmp(r->now, section) != 0)
		enter_section(r, section);
	if (strlen(name) >= sizeof(r->name))
		return fail_line(r, r->line, "a name that no option has", "");
	wi_copy(r->name, sizeof(r->name), name);
	r->name_line = r->line;
	r->is_cut = r->has_comment;
	return add_value(r, value);
}

/* libinih: the next line, as fgets would give it. */
static char *next_line(char *room, int size, void *arg)
{
	struct reading *r = arg;
	size_t left = (size_t)(r->end - r->at), n;
	const char *stop;

	if (!left || r->status != WEIR_OK)
		return NULL;
	stop = memchr(r->at, '\n', left);
	n = stop ? (size_t)(stop - r->at) + 1 : left;
	r->line++;
	if (n >= (size_t)size) {
		fail_line(r, r->line,
		          "is longer than a line may be (198 bytes); a value may go on in lines "
		          "that begin with a blank",
		          "");
		return NULL;
	}
	memcpy(room, r->at, n);
	room[n] = '\0';
	r->goes_on = *room == ' ' || *room == '\t';
	r->has_comment = strstr(room, " ;") || strstr(room, "\t;");
	r->at += n;
	return room;
}

/* What libinih and its callees have left of the lines. */
static WI_NOINLINE void wipe_stack(void)
{
	char room[4096];

	explicit_bzero(room, sizeof(room));
}

static void parse_lines(struct reading *r)
{
	int line;
	char path[SHOWN_PATH];

	enter_section(r, "");
	line = ini_parse_stream(next_line, r, hear, r);
	wipe_stack();
	if (r->status == WEIR_OK && line > 0)
		fail_line(r, line, "is neither [section] nor name = value", "");
	flush(r);
	if (r->status == WEIR_OK && r->section && !r->found)
		r->status =
			wi_fail(r->error, WEIR_INVALID, "file %s: has nothing in a section [%s]",
		                shown_path(r, path), r->section);
}

/* ---- the file ---- */

static weir_status fail_file(const struct reading *r, const char *what)
{
	char path[SHOWN_PATH];

	return wi_fail(r->error, WEIR_INVALID, "file %s: %s", shown_path(r, path), what);
}

static bool read_all(int fd, char *text, size_t size)
{
	for (size_t got = 0; got < size;) {
		ssize_t n = read(fd, text + got, size - got);

		if (n == 0 || (n < 0 && errno != EINTR))
			return false;
		got += n > 0 ? (size_t)n : 0;
	}
	return true;
}

static weir_status parse_open(struct reading *r, int fd)
{
	struct stat s;
	size_t size;
	char *text;

	if (fstat(fd, &s) != 0 || !S_ISREG(s.st_mode))
		return fail_file(r, "is no file");
	if (s.st_size > LARGEST)
		return fail_file(r, "is too large");
	r->mode = s.st_mode;
	size = (size_t)s.st_size;
	text = wi_secret_alloc(size + 1);
	r->value = wi_secret_alloc(VALUE_ROOM);
	if (!text || !r->value)
		r->status = wi_fail(r->error, WEIR_NO_MEMORY, "out of memory");
	else if (!read_all(fd, text, size))
		r->status = fail_file(r, "cannot be read");
	else if (memchr(text, '\0', size))
		r->status = fail_file(r, "has a zero byte in it");
	r->at = text;
	r->end = text ? text + size : NULL;
	if (r->status == WEIR_OK)
		parse_lines(r);
	wi_secret_free(text, size + 1);
	wi_secret_free(r->value, VALUE_ROOM);
	return r->status;
}

static weir_status parse_file(struct reading *r)
{
	int fd = open(r->path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	weir_status st;

	if (fd < 0)
		return fail_file(r, errno == ENOENT ? "does not exist" : "cannot be opened");
	st = parse_open(r, fd);
	close(fd);
	return st;
}

weir_status wi_file_options(weir_options *options, const char *path, const char *section,
                            struct wi_sources *sources, weir_error *error)
{
	struct reading r = {.path = path, .section = section, .sources = sources, .error = error};
	weir_options work;
	size_t size = options->size < sizeof(work) ? options->size : sizeof(work);
	weir_status st;

	memcpy(&work, options, size);
	r.options = &work;
	st = parse_file(&r);
	if (st == WEIR_OK)
		memcpy(options, &work, size);
	return st;
}

weir_status wi_file_parts(struct wi_parse *parse, const char *path, const char *section)
{
	struct reading r = {
		.path = path, .section = section, .parse = parse, .error = parse->error};
	const char *source = parse->source;
	weir_status st;

	for (size_t i = 0; i < WI_ARRAY_LEN(parts); i++)
		r.said[i] = strcmp(parts[i], "host") == 0 ? parse->hosts.text != NULL
		            : strcmp(parts[i], "port") == 0
		                    ? parse->ports.text != NULL
		                    : wi_dsn_param(parse->dsn, parts[i]) != NULL;
	parse->source = path;
	st = parse_file(&r);
	parse->source = source;
	return st;
}

weir_status weir_options_from_file(weir_options *options, const char *path, const char *section,
                                   weir_error *error)
{
	struct wi_sources sources = {{NULL}};

	if (!options || !path || options->size < sizeof(options->size))
		return wi_fail(error, WEIR_INVALID, "weir_options_from_file: %s",
		               !path ? "path is NULL"
		                     : "the options are not initialised: call weir_options_init "
		                       "first");
	return wi_file_options(options, path, section, &sources, error);
}
