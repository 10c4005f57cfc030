/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Options as a struct: defaults, one by name, all of them checked. The struct carries its size, so
 * that a program and a library of different ages understand each other: what only one side knows is
 * at its default.
 */
#include "config/options.h"

#include <stdio.h>
#include <string.h>

#include "base/text.h"
#include "config/table.h"
#include "config/value.h"

void weir_options_init(weir_options *options)
{
	const struct wi_option *row;

	*options = (weir_options){.size = sizeof(*options)};
	for (size_t i = 0; (row = wi_option_at(i)); i++) {
		if (row->shown.type == WEIR_OPTION_IS_TEXT)
			wi_copy(wi_option_text(row, options), row->shown.room, row->shown.default_);
		else
			*wi_option_number(row, options) = row->initial;
	}
}

/* The row of a name, if the caller's struct reaches that far. */
static weir_status find(const weir_options *options, const char *name, const struct wi_option **row,
                        weir_error *error)
{
	const char *nearest;
	char clean[64];

	if (options->size < sizeof(options->size))
		return wi_fail(error, WEIR_INVALID,
		               "the options are not initialised: call weir_options_init first");
	*row = wi_option_find(name);
	if (!*row) {
		nearest = wi_option_nearest(name);
		wi_copy_clean(clean, sizeof(clean), name, NULL);
		return wi_fail(error, WEIR_INVALID, "unknown option \"%s\"%s%s%s", clean,
		               nearest ? ": did you mean \"" : "", nearest ? nearest : "",
		               nearest ? "\"?" : "");
	}
	if (options->size < (*row)->offset + wi_option_size(*row))
		return wi_fail(error, WEIR_INVALID,
		               "option \"%s\" is newer than the headers of this program", name);
	return WEIR_OK;
}

weir_status weir_options_set(weir_options *options, const char *name, const char *value,
                             weir_error *error)
{
	const struct wi_option *row;
	weir_status status;

	if (!options || !name || !value)
		return wi_fail(error, WEIR_INVALID, "weir_options_set: %s is NULL",
		               !options ? "options"
		               : !name  ? "name"
		                        : "value");
	status = find(options, name, &row, error);
	return status == WEIR_OK ? wi_value_set(row, options, value, true, error) : status;
}

const weir_option_row *weir_option_at(size_t i)
{
	const struct wi_option *row = wi_option_at(i);

	return row ? &row->shown : NULL;
}

weir_status weir_options_get(const weir_options *options, const char *name, char *text, size_t room)
{
	const struct wi_option *row;
	const char *at, *word;
	char digits[32];
	int64_t number = 0;
	size_t length;

	if (!options || !name || !text || find(options, name, &row, NULL) != WEIR_OK)
		return WEIR_INVALID;
	at = (const char *)options + row->offset;
	if (row->shown.type == WEIR_OPTION_IS_TEXT) {
		word = at;
		length = strnlen(at, row->shown.room);
	} else {
		memcpy(&number, at, sizeof(number));
		snprintf(digits, sizeof(digits), "%lld", (long long)number);
		word = digits;
		length = strlen(digits);
	}
	if (row->shown.type == WEIR_OPTION_IS_CHOICE)
		word = number < 0 ? NULL : wi_word_at(row->shown.choices, (size_t)number, &length);
	if (!word || length >= room)
		return WEIR_INVALID;
	memcpy(text, word, length);
	text[length] = '\0';
	return WEIR_OK;
}

bool wi_option_known(const char *name)
{
	return wi_option_find(name) != NULL;
}

static int64_t pods_of(const weir_options *options)
{
	return options->pod_count > 0 ? options->pod_count : 1;
}

int64_t wi_options_share(const weir_options *options)
{
	int64_t share = options->server_budget / pods_of(options);

	if (!options->server_budget)
		return INT64_MAX;
	return share > 0 ? share : 1;
}

int64_t wi_options_pool_max(const weir_options *options)
{
	int64_t share = wi_options_share(options);

	return share < options->pool_max ? share : options->pool_max;
}

weir_status wi_options_spare_probe(weir_options *options, weir_error *error)
{
	int64_t pods = pods_of(options);

	if (!options->server_budget)
		return WEIR_OK;
	if (options->server_budget < 2 * pods)
		return wi_fail(
			error, WEIR_INVALID,
			"server_budget is %lld for %lld instances: with a router each needs two connections at least, one of them to probe",
			(long long)options->server_budget, (long long)pods);
	options->server_budget -= pods;
	return WEIR_OK;
}

static weir_status check_budget(const weir_options *options, weir_error *error)
{
	if (!options->server_budget || options->server_budget >= pods_of(options))
		return WEIR_OK;
	return wi_fail(error, WEIR_INVALID,
	               "server_budget is %lld for %lld instances: not one connection for each",
	               (long long)options->server_budget, (long long)pods_of(options));
}

/* A size that ends inside a member is none that any version of the struct has had. */
static weir_status check_size(const weir_options *from, weir_error *error)
{
	const unsigned char *bytes = (const unsigned char *)from;
	const struct wi_option *row;

	if (from->size <
	    offsetof(weir_options, on_credentials_arg) + sizeof(from->on_credentials_arg))
		return wi_fail(error, WEIR_INVALID,
		               "the options are not initialised: call weir_options_init first");
	for (size_t i = 0; (row = wi_option_at(i)); i++)
		if (row->offset < from->size && from->size < row->offset + wi_option_size(row))
			return wi_fail(error, WEIR_INVALID,
			               "options: a size of %zu is that of no version", from->size);
	for (size_t i = sizeof(*from); i < from->size; i++)
		if (bytes[i])
			return wi_fail(
				error, WEIR_INVALID,
				"options: something is set that this version of weir (%zu bytes of options) does not know",
				sizeof(*from));
	return WEIR_OK;
}

/* An explicit minimum is never given way to. */
static weir_status check_sizes(const weir_options *o, weir_error *error)
{
	int64_t max = wi_options_pool_max(o);

	if (o->pool_min <= max)
		return WEIR_OK;
	if (max < o->pool_max)
		return wi_fail(
			error, WEIR_INVALID,
			"pool_min is %lld, but server_budget / pod_count leaves this process %lld connections",
			(long long)o->pool_min, (long long)max);
	return wi_fail(error, WEIR_INVALID, "pool_min is %lld, more than pool_max, which is %lld",
	               (long long)o->pool_min, (long long)max);
}

/*
 * A pool_min that nobody has set gives way to a small maximum; one that was set is taken at its
 * word.
 */
static weir_status check_minimum(weir_options *options, weir_error *error)
{
	int64_t max = wi_options_pool_max(options);
	int64_t initial = wi_option_find("pool_min")->initial;

	if (options->pool_min <= max)
		return WEIR_OK;
	if (options->pool_min == initial) {
		options->pool_min = max;
		return WEIR_OK;
	}
	return check_sizes(options, error);
}

weir_status wi_options_load(weir_options *to, const weir_options *from, weir_error *error)
{
	weir_options loaded;
	const struct wi_option *row;
	weir_status status;

	weir_options_init(&loaded);
	if (from) {
		status = check_size(from, error);
		if (status != WEIR_OK)
			return status;
		memcpy(&loaded, from, from->size < sizeof(loaded) ? from->size : sizeof(loaded));
		loaded.size = sizeof(loaded);
	}
	for (size_t i = 0; (row = wi_option_at(i)); i++) {
		status = wi_value_check(row, &loaded, error);
		if (status != WEIR_OK)
			return status;
	}
	*to = loaded;
	return WEIR_OK;
}

weir_status wi_options_resize(weir_options *options, int64_t min, int64_t max, weir_error *error)
{
	static const char *const names[] = {"pool_min", "pool_max"};
	weir_options o = *options;

	o.pool_min = min;
	o.pool_max = max;
	for (size_t i = 0; i < 2; i++) {
		weir_status st = wi_value_check(wi_option_find(names[i]), &o, error);

		if (st != WEIR_OK)
			return st;
	}
	*options = o;
	return check_sizes(options, error);
}

weir_status wi_options_agree(weir_options *options, weir_error *error)
{
	weir_status st = check_budget(options, error);

	return st == WEIR_OK ? check_minimum(options, error) : st;
}
