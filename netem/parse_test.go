package netem_test

const rich = "delay 50ms 10ms 25% distribution paretonormal loss 1% 30% loss gemodel 1% 10% 70% 0.1% loss every 1000 duplicate 2% 20% " +
	"corrupt 1% 10% reorder 5% 50% gap 3 rate 100mbit limit 1000 limitbytes 256kb mtu 1500 down 10s 1s every 60s down 3s 10ms"
