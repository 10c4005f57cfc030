/* SPDX-License-Identifier: BSD-2-Clause */
#include "support/watchdog.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define BARK (SIGRTMAX - 1) /* the last one is valgrind's */

static const char *volatile waiting_for = "";

static void say(const char *text)
{
	if (write(STDERR_FILENO, text, strlen(text)) < 0)
		return; /* nothing else can be done about it here */
}

static void bark(int signum)
{
	(void)signum;
	say("watchdog: time is over: ");
	say(waiting_for);
	say("\n");
	abort();
}

static timer_t make_timer(void)
{
	struct sigaction action = {.sa_handler = bark, .sa_flags = SA_RESTART};
	struct sigevent event = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = BARK};
	timer_t timer;

	if (sigaction(BARK, &action, NULL) != 0 ||
	    timer_create(CLOCK_MONOTONIC, &event, &timer) != 0) {
		perror("watchdog");
		exit(EXIT_FAILURE);
	}
	return timer;
}

/* By how much more a test may take than it says: set where all of it runs under valgrind. */
static int patience(void)
{
	const char *given = getenv("TEST_PATIENCE");
	int times = given ? atoi(given) : 1;

	return times > 0 ? times : 1;
}

void test_watchdog(int seconds, const char *what)
{
	static timer_t timer;
	static int made;
	struct itimerspec when = {.it_value.tv_sec = (time_t)seconds * patience()};

	waiting_for = what;
	if (!made)
		timer = make_timer();
	made = 1;
	timer_settime(timer, 0, &when, NULL);
}
