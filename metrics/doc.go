// Package metrics exports the counters of sources, listeners, receivers and carousels: to Prometheus, in its text format, and to expvar.
//
//	var m metrics.Metrics
//	http.Handle("/metrics", &m)
//	expvar.Publish("rmcast", &m)
//	…
//	source, err := transport.Dial("udp", group, nil)
//	…
//	defer m.AddSource("feed", source)()
//
// Every field of SourceStats, ListenerStats and ReceiverStats of package transport is there, read when somebody asks, and so are the counters of packages
// carousel and demand. Nothing is done in between, and those packages know nothing of this one. Names begin with rmcast_source_, rmcast_listener_,
// rmcast_receiver_, rmcast_inbox_, rmcast_requests_ and rmcast_demand_; units are seconds and bytes, also for rates (bytes per second), and what only grows ends in _total. What is a word or a name is
// the label of a sample that is 1:
//
//	rmcast_source_packets_total{id="feed",group="239.192.0.9:7500",tsi="27.234.7.6.40.190.35776"} 1288
//	rmcast_source_refused_total{id="feed",group="239.192.0.9:7500",tsi="27.234.7.6.40.190.35776",reason="wrong_port"} 0
//	rmcast_source_phase{id="feed",group="239.192.0.9:7500",tsi="27.234.7.6.40.190.35776",phase="startup"} 1
//
// # Labels
//
// id is what the program calls the thing, group where it is, and tsi which session it is; listeners hear many and have none. Inboxes, requests and demand have the id alone. A session's TSI
// is a new one each time, so a program that dials all day makes many series: Prometheus' labeldrop takes tsi away where that is too many. At one time there are
// at most Metrics.Max things; what is added beyond them is counted and not shown.
//
// The counters of a socket are those of all who use it: the sources of one process on one address and port, and a listener with all its
// receivers. Do not add them up.
package metrics
