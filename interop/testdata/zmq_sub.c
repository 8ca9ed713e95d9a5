/* A ZeroMQ subscriber that writes what it gets to a file.
 *
 *   zmq_sub -e "epgm://10.77.1.0;239.192.0.9:7500" -r KBIT/S -b BYTES -t SECONDS FILE
 *
 * Prints "ready" when it is connected. For each message the file gets its length as four bytes, high byte first, and its bytes. It
 * ends when it has BYTES of payload or after SECONDS, and prints "got MESSAGES BYTES" last. ZeroMQ does not tell of a loss: it
 * leaves out what is hit. The few functions needed are declared here, so that the library is enough without its headers. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum {
	ZMQ_SUB = 2,
	ZMQ_SUBSCRIBE = 6, ZMQ_RATE = 8, ZMQ_RECOVERY_IVL = 9, ZMQ_LINGER = 17, ZMQ_RCVHWM = 24, ZMQ_RCVTIMEO = 27, ZMQ_IPV6 = 42
};
void *zmq_ctx_new(void);
void *zmq_socket(void *context, int type);
int zmq_setsockopt(void *socket, int option, const void *value, size_t len);
int zmq_connect(void *socket, const char *endpoint);
int zmq_recv(void *socket, void *buf, size_t len, int flags);
int zmq_errno(void);
const char *zmq_strerror(int errnum);

static void die(const char *what)
{
	fprintf(stderr, "%s: %s\n", what, zmq_strerror(zmq_errno()));
	exit(1);
}

static void set(void *socket, int option, int value)
{
	if (zmq_setsockopt(socket, option, &value, sizeof value)) die("zmq_setsockopt");
}

int main(int argc, char **argv)
{
	const char *endpoint = NULL;
	int rate = 100, seconds = 30, c;
	long want = 0;
	while ((c = getopt(argc, argv, "e:r:b:t:")) != -1) switch (c) {
	case 'e': endpoint = optarg; break;
	case 'r': rate = atoi(optarg); break;
	case 'b': want = atol(optarg); break;
	case 't': seconds = atoi(optarg); break;
	default: return 2;
	}
	if (!endpoint || want < 1 || optind + 1 != argc) {
		fprintf(stderr, "usage: see the head of zmq_sub.c\n");
		return 2;
	}
	FILE *out = fopen(argv[optind], "wb");
	if (!out) die(argv[optind]);
	void *sub = zmq_socket(zmq_ctx_new(), ZMQ_SUB);
	if (!sub) die("zmq_socket");
	/* The window is ZMQ_RATE times ZMQ_RECOVERY_IVL long. */
	set(sub, ZMQ_RATE, rate);
	set(sub, ZMQ_RECOVERY_IVL, 5000);
	set(sub, ZMQ_RCVHWM, 0);
	set(sub, ZMQ_RCVTIMEO, 200);
	set(sub, ZMQ_LINGER, 0);
	set(sub, ZMQ_IPV6, strchr(endpoint, '[') != NULL || strstr(endpoint, "::") != NULL);
	if (zmq_setsockopt(sub, ZMQ_SUBSCRIBE, "", 0)) die("zmq_setsockopt");
	if (zmq_connect(sub, endpoint)) die(endpoint);
	usleep(200000); /* its thread joins the group */
	puts("ready");
	fflush(stdout);

	static unsigned char buf[1 << 20];
	int messages = 0;
	long got = 0;
	for (time_t end = time(NULL) + seconds; got < want && time(NULL) < end;) {
		int n = zmq_recv(sub, buf, sizeof buf, 0);
		if (n < 0) continue;
		unsigned char head[4] = { n >> 24, n >> 16, n >> 8, n };
		if (fwrite(head, 1, 4, out) != 4 || fwrite(buf, 1, n, out) != (size_t)n) die("write");
		messages++;
		got += n;
	}
	if (fclose(out)) die("write");
	printf("got %d %ld\n", messages, got);
	fflush(stdout);
	_exit(0); /* closing its context asserts in some releases */
}
