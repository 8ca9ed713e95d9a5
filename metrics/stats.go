package metrics

import (
	"strings"

	"github.com/rmcast/rmcast/carousel"
	"github.com/rmcast/rmcast/demand"
	"github.com/rmcast/rmcast/dgram"
	"github.com/rmcast/rmcast/session"
	"github.com/rmcast/rmcast/transport"
	"github.com/rmcast/rmcast/wire"
)

// These functions are the list of all metrics. A test goes through the fields of the Stats and misses those that are not here.

func (c *collector) metrics(things int, refused uint64) {
	c.begin(&thing{kind: "metrics"})
	c.gauge("things", "Sources, listeners and so on that are shown.", float64(things))
	c.counter("things_refused", "Sources, listeners and so on that were added beyond Metrics.Max and are not shown.", refused)
}

func (c *collector) source(s transport.SourceStats) {
	c.counter("packets", "ODATA packets sent, without repairs.", s.Packets)
	c.counter("payload_bytes", "Payload of ODATA sent.", s.Bytes)
	c.counter("repair_packets", "RDATA packets sent, parity on demand included.", s.Repairs)
	c.counter("repair_payload_bytes", "Payload of RDATA sent.", s.RepairBytes)
	c.counter("parity_packets", "Of repair_packets, those that are parity.", s.Parity)
	c.counter("ahead_packets", "Parity packets sent before anybody asked.", s.Ahead)
	c.counter("ahead_payload_bytes", "Payload of parity sent before anybody asked.", s.AheadBytes)
	c.counter("spms_sent", "SPM packets sent.", s.SPMs)
	c.counter("ncfs_sent", "NCF packets sent.", s.NCFs)
	c.counter("ip_bytes", "All that was sent, with IP and UDP headers.", s.IPBytes)
	c.counter("messages", "Messages taken from WriteMessage.", s.Messages)
	c.counter("naks_received", "NAK packets accepted.", s.NAKs)
	c.counter("nak_numbers", "Packets that NAKs asked for.", s.NAKNumbers)
	c.counter("parity_naks", "Groups that NAKs asked for parity of.", s.ParityNAKs)
	c.counter("nak_numbers_too_late", "Packets asked for after the window had moved past them.", s.NAKsTooLate)
	c.counter("nak_numbers_held_off", "Packets asked for again too soon after their repair.", s.NAKsHeldOff)
	c.counter("nak_numbers_merged", "Packets asked for whose repair was queued already.", s.NAKsMerged)
	c.counter("nnaks_received", "NNAK packets heard.", s.NNAKs)
	c.counter("spmrs_received", "SPMR packets heard.", s.SPMRs)
	c.counter("acks_received", "ACK packets heard.", s.ACKs)
	c.counter("confirmations", "Reports of delivery taken.", s.Confirmations)
	c.counter("confirmations_refused", "Reports of delivery refused: another address holds the receiver's id, or one address claims too many.", s.Claimed)
	c.gauge("confirming_receivers", "Receivers known that take part in confirmation.", float64(s.Confirming))
	c.refused(s.Refused)
	c.rate("rate", "Speed at which the source may send IP packets.", s.Rate)
	c.seconds("group_round_trip", "Round trip time that the group is told (GRTT).", s.GRTT)
	c.gauge("group_size", "Estimate of how many receivers there are.", s.GroupSize)
	c.gauge("window_packets", "Length of the transmit window.", float64(s.Window))
	c.gauge("window_trail", "Oldest sequence number in the window (TXW_TRAIL).", float64(s.Trail))
	c.gauge("window_lead", "Newest sequence number that was sent (TXW_LEAD).", float64(s.Lead))
	c.gauge("unsent_packets", "Packets that were written and not sent yet.", float64(s.Unsent))
	c.gauge("queued_repair_packets", "Packets whose repair was asked for and not sent yet.", float64(s.RepairsQueued))

	c.word("phase", "What the control of the rate is about.", s.Phase.String())
	c.word("reason", "Why the rate is what it is.", s.Why.String())
	c.rate("capacity", "What the path to the acker bears, as far as it is known.", s.Capacity)
	c.word("acker", "The receiver whose reports set the rate; zero: none.", s.Acker.String())
	c.rate("acker_rate", "What the acker gets.", s.AckerRate)
	c.gauge("receivers", "Receivers that reported of late.", float64(s.Receivers))
	c.gauge("slow_receivers", "Of receivers, those that do not set the rate for being too slow.", float64(s.Slow))
	c.gauge("evicted_receivers", "Receivers that are not served any more.", float64(s.Evicted))
	c.counter("slowed", "Times that a receiver was left behind or evicted as too slow.", s.Slowed)
	c.counter("acker_switches", "Times that another receiver became the acker.", s.Switches)
	c.counter("reports", "Reports of receivers taken.", s.Reports)
	c.counter("reports_refused", "Reports of receivers refused: overtaken, of evicted ones, not plausible, or beyond what is kept.", s.ReportsRefused)
	c.gauge("worst_loss_ratio", "Greatest loss that a receiver reports, 0 to 1.", s.WorstLoss)
	c.seconds("round_trip_min", "Least round trip time of receivers that report.", s.RTTMin)
	c.seconds("round_trip_max", "Greatest round trip time of receivers that report.", s.RTTMax)
	c.socket(s.Socket)
}

func (c *collector) listener(s transport.ListenerStats) {
	c.gauge("sources", "Sources that are known now.", float64(s.Sources))
	c.counter("sources_accepted", "Sources that were heard well enough to be accepted.", s.Accepted)
	c.refused(s.Refused)
	c.counts(s.Total, "receiver_refused") // what receivers refused; the listener's own is refused
	c.socket(s.Socket)
}

func (c *collector) receiver(s transport.ReceiverStats) {
	c.counts(s.ReceiverCounts, "refused")
	c.seconds("round_trip", "Smoothed time from NAK to NCF; 0: none measured.", s.RTT)
	c.seconds("group_round_trip", "Round trip time that the source tells, or our guess (GRTT).", s.GRTT)
	c.gauge("group_size", "Number of receivers that the source tells, or our guess.", s.GroupSize)
	c.gauge("window_packets", "Packets that the receive window may hold.", float64(s.Window))
	c.gauge("window_trail", "Oldest sequence number that the source holds.", float64(s.Trail))
	c.gauge("window_next", "Next sequence number to deliver.", float64(s.Next))
	c.gauge("window_lead", "Newest sequence number known.", float64(s.Lead))
	c.gauge("held_packets", "Packets in the window.", float64(s.Held))
	c.gauge("gap_packets", "Packets missing now.", float64(s.Gaps))
	c.gauge("window_bytes", "Payload in the window.", float64(s.WindowBytes))
	c.flag("foreign_source", "1 if the source is not of this library.", s.Foreign)
	c.flag("source_ended", "1 if the source has said where it ends.", s.FIN)
	c.socket(s.Socket)
}

// counts are what a receiver counts, and what a listener sums up.
func (c *collector) counts(s session.ReceiverCounts, refused string) {
	c.counter("packets", "ODATA packets taken into the window.", s.Packets)
	c.counter("payload_bytes", "Payload of ODATA taken.", s.Bytes)
	c.counter("repair_packets", "Packets that RDATA brought, or that were restored from parity.", s.Repairs)
	c.counter("repair_payload_bytes", "Payload of repaired packets.", s.RepairBytes)
	c.counter("restored_packets", "Of repair_packets, those restored from parity.", s.Restored)
	c.counter("parity_packets", "Parity packets kept for a group with losses.", s.Parity)
	c.counter("messages", "Messages handed to the application.", s.Messages)
	c.counter("delivered_bytes", "Bytes handed to the application.", s.DeliveredBytes)
	c.counter("spms_received", "SPM packets heard.", s.SPMs)
	c.counter("ncfs_received", "NCF packets heard.", s.NCFs)
	c.counter("missing_packets", "Packets found missing.", s.Missing)
	c.counter("lost_packets", "Packets that can no longer be had.", s.Lost)
	c.counter("loss_errors", "Times that loss was reported to the application.", s.LossErrors)
	c.counter("naks_sent", "NAK packets sent.", s.NAKs)
	c.counter("nak_numbers", "Packets that NAKs asked for.", s.NAKNumbers)
	c.counter("suppressed_numbers", "Packets not asked for because somebody else's NAK, an NCF or a repair came first.", s.Suppressed)
	c.counter("spmrs_sent", "SPMR packets sent.", s.SPMRs)
	c.counter("acks_sent", "ACK packets sent.", s.ACKs)
	c.refusedAs(refused, s.Refused)
}

func (c *collector) refused(s session.RefusedStats) { c.refusedAs("refused", s) }

func (c *collector) refusedAs(name string, s session.RefusedStats) {
	for _, r := range []struct {
		reason string
		n      uint64
	}{
		{"wrong_port", s.WrongPort}, {"wrong_tsi", s.WrongTSI}, {"wrong_nla", s.WrongNLA}, {"wrong_type", s.WrongType}, {"parity", s.Parity},
		{"too_many", s.TooMany}, {"jump", s.Jump}, {"stale", s.Stale}, {"window_full", s.WindowFull}, {"late", s.Late}, {"duplicate", s.Duplicate},
		{"malformed", s.Malformed}, {"closed", s.Closed}, {"unsupported", s.Unsupported},
	} {
		c.counterBy(name, "Well-formed packets that were not taken, by reason.", "reason", r.reason, r.n)
	}
}

// socket is what the system gave, and what it lost; names have socket_ before them.
func (c *collector) socket(s transport.SocketStats) {
	prefix := c.prefix
	c.prefix += "socket_"
	values := c.values
	c.values = map[string]any{}
	values["socket"] = c.values

	c.word("interface", "Name of the network interface.", s.Interface)
	c.gauge("mtu_bytes", "MTU of the interface.", float64(s.MTU))
	c.gauge("receive_buffer_bytes", "Receive buffer that the system gave.", float64(s.RecvBuffer))
	c.gauge("send_buffer_bytes", "Send buffer that the system gave.", float64(s.SendBuffer))
	c.flag("gso", "1 if runs of packets are handed to the kernel whole.", s.GSO)
	c.flag("gro", "1 if runs of packets may come whole.", s.GRO)
	const dropped = "Datagrams that were received and not read, by reason."
	for _, d := range []struct {
		reason string
		n      uint64
	}{
		{"kernel", s.KernelDrops}, {"queue", s.QueueDrops}, {"truncated", s.Truncated}, {"empty", s.Empty}, {"filtered", s.Filtered},
		{"malformed", s.Malformed},
	} {
		c.counterBy("dropped", dropped, "reason", d.reason, d.n)
	}
	c.writeErrors(s.Refused)
	c.failure("first_error", "The first error behind write_errors.", s.FirstRefusal)
	for i, n := range s.Undecodable {
		if i > 0 { // 0 is no error
			c.counterBy("undecodable", "Datagrams that are not sound PGM, by reason.", "reason", strings.TrimPrefix(wire.DecodeError(i).Error(), "wire: "), n)
		}
	}
	c.prefix, c.values = prefix, values
}

func (c *collector) writeErrors(e dgram.WriteErrors) {
	const help = "Datagrams that the system did not take, by reason."
	c.counterBy("write_errors", help, "reason", "too_big", e.TooBig)
	c.counterBy("write_errors", help, "reason", "unreachable", e.Unreachable)
	c.counterBy("write_errors", help, "reason", "denied", e.Denied)
	c.counterBy("write_errors", help, "reason", "port_closed", e.PortClosed)
	c.counterBy("write_errors", help, "reason", "no_buffer", e.NoBuffer)
	c.counterBy("write_errors", help, "reason", "other", e.Other)
}

func (c *collector) inbox(s carousel.InboxStats) {
	c.counter("packets", "Packets that came.", s.Packets)
	c.counter("stored_symbols", "Data symbols that were written.", s.Stored)
	const unused = "Packets and symbols that were of no use, by reason."
	for _, r := range []struct {
		reason string
		n      uint64
	}{
		{"foreign", s.Foreign}, {"damaged", s.Damaged}, {"duplicate", s.Duplicate}, {"unneeded", s.Unneeded}, {"early", s.Early}, {"refused", s.Refused},
		{"conflict", s.Conflicts}, {"out_of_range", s.OutOfRange},
	} {
		c.counterBy("unused", unused, "reason", r.reason, r.n)
	}
	c.counter("bad_blocks", "Blocks that were thrown away for a wrong hash.", s.BadBlocks)
	c.counter("bad_manifests", "Manifests that were thrown away for a wrong hash.", s.BadManifests)
}

// objects is how far an inbox is.
func (c *collector) objects(list []carousel.ObjectStatus) {
	var known, done, failed, bytes, symbols, held float64
	for _, o := range list {
		if o.Known {
			known++
		}
		switch {
		case o.Done && o.Err == nil:
			done++
		case o.Done:
			failed++
		}
		bytes += float64(o.Bytes)
		symbols += float64(o.Symbols)
		held += float64(o.Held)
	}
	c.gauge("objects", "Files and trees that were heard of.", float64(len(list)))
	c.gauge("objects_known", "Of objects, those whose manifest is there.", known)
	c.gauge("objects_done", "Of objects, those that are complete and verified.", done)
	c.gauge("objects_failed", "Of objects, those that could not be completed.", failed)
	c.gauge("object_bytes", "Size of all objects.", bytes)
	c.gauge("object_symbols", "Data symbols of all objects.", symbols)
	c.gauge("held_symbols", "Of object_symbols, those that are there.", held)
}

func (c *collector) requests(s carousel.RequestStats) {
	c.counter("heard", "Requests that were entered.", s.Heard)
	c.counter("invalid", "Messages that are no requests, or for what there is not.", s.Invalid)
	c.counter("limited", "Messages that were too many to be looked at.", s.Limited)
	c.counter("symbols", "Symbols that were asked for and will be sent.", s.Symbols)
	c.failure("error", "Why requests are not heard any more.", s.Err)
}

func (c *collector) demand(s demand.Stats) {
	c.counter("heard", "Messages that something is wanted.", s.Heard)
	c.counter("left", "Messages that it is not wanted any more.", s.Left)
	c.counter("reports", "IGMP and MLD records about the group.", s.Reports)
	c.counter("invalid", "Messages that are neither.", s.Invalid)
	c.gauge("hosts", "Hosts that are on the group by their reports.", float64(s.Hosts))
	c.counter("starts", "Times that it was wanted anew.", s.Starts)
}
