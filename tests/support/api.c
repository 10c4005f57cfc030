/* SPDX-License-Identifier: BSD-2-Clause */
#include "support/api.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "support/coprocess.h"
#include "support/json_read.h"

static struct test_coprocess api;
static int port[API_SERVERS];

static void must(bool well)
{
	if (well)
		return;
	fprintf(stderr, "patroni_api: %s\n", api.error);
	exit(EXIT_FAILURE);
}

void test_api_start(const char *tls)
{
	char path[1024], argument[256], *words[] = {path, NULL, NULL, NULL};

	snprintf(path, sizeof(path), "%s/tests/support/patroni_api", getenv("TEST_SOURCE_DIR"));
	if (tls) {
		snprintf(argument, sizeof(argument), "--tls=%s", tls);
		words[1] = argument;
	}
	must(test_coprocess_init(&api, path, words, 60000) && test_coprocess_hear(&api));
	for (int i = 0; i < API_SERVERS; i++)
		port[i] = (int)test_json_number(
			test_json_item(test_json_member(api.answer, "ports"), (size_t)i));
}

void test_api_stop(void)
{
	must(test_coprocess_tell(&api, "quit\n"));
	must(test_coprocess_fini(&api));
}

void test_api_tell(const char *format, ...)
{
	char line[4096];
	va_list args;

	va_start(args, format);
	vsnprintf(line, sizeof(line) - 1, format, args);
	va_end(args);
	strcat(line, "\n");
	must(test_coprocess_tell(&api, line) && test_coprocess_hear(&api));
}

const char *test_api_answer(void)
{
	return api.answer;
}

int test_api_hits(int i)
{
	test_api_tell("hits %d", i);
	return (int)test_json_number(test_json_member(api.answer, "hits"));
}

int test_api_port(int i)
{
	return port[i];
}
