/* A ZeroMQ publisher that sends numbered messages.
 *
 *   zmq_pub -e "epgm://10.77.0.1;239.192.0.9:7500" -r KBIT/S -l BYTES
 *
 * Prints "ready" when it is connected, and waits for a line on stdin. Then it sends a message of so many bytes every 10 ms until its
 * stdin ends, and prints "sent MESSAGES". The few functions needed are declared here, so that the library is enough without its
 * headers. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { ZMQ_PUB = 1, ZMQ_RATE = 8, ZMQ_RECOVERY_IVL = 9, ZMQ_LINGER = 17, ZMQ_SNDHWM = 23, ZMQ_IPV6 = 42 };
void *zmq_ctx_new(void);
void *zmq_socket(void *context, int type);
int zmq_setsockopt(void *socket, int option, const void *value, size_t len);
int zmq_connect(void *socket, const char *endpoint);
int zmq_send(void *socket, const void *buf, size_t len, int flags);
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
	int rate = 10000, length = 500, messages = 0, c;
	while ((c = getopt(argc, argv, "e:r:l:")) != -1) switch (c) {
	case 'e': endpoint = optarg; break;
	case 'r': rate = atoi(optarg); break;
	case 'l': length = atoi(optarg); break;
	default: return 2;
	}
	if (!endpoint || length < 1 || optind != argc) {
		fprintf(stderr, "usage: see the head of zmq_pub.c\n");
		return 2;
	}
	void *pub = zmq_socket(zmq_ctx_new(), ZMQ_PUB);
	if (!pub) die("zmq_socket");
	set(pub, ZMQ_RATE, rate);
	set(pub, ZMQ_RECOVERY_IVL, 5000);
	set(pub, ZMQ_SNDHWM, 0);
	set(pub, ZMQ_LINGER, 0);
	set(pub, ZMQ_IPV6, strchr(endpoint, '[') != NULL || strstr(endpoint, "::") != NULL);
	if (zmq_connect(pub, endpoint)) die(endpoint);
	usleep(200000); /* its thread opens the socket */
	puts("ready");
	fflush(stdout);
	while ((c = getchar()) != '\n') if (c == EOF) return 1;

	unsigned char *message = calloc(1, length);
	fcntl(STDIN_FILENO, F_SETFL, O_NONBLOCK);
	for (;;) {
		char b[16];
		if (read(STDIN_FILENO, b, sizeof b) == 0) break;
		message[0] = (unsigned char)messages;
		if (zmq_send(pub, message, length, 0) < 0) die("zmq_send");
		messages++;
		usleep(10000);
	}
	printf("sent %d\n", messages);
	fflush(stdout);
	_exit(0); /* closing its context asserts in some releases */
}
