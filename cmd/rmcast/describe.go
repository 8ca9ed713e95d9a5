package main

import (
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/rmcast/rmcast/seq"
	"github.com/rmcast/rmcast/wire"
)

// describe says what a packet is, in one line: its type, its numbers, and what that means.
func describe(p *wire.Packet) string {
	o := &p.Options
	parity := p.Flags&wire.FlagParity != 0
	text := p.Type.String() + " "
	switch p.Type {
	case wire.TypeSPM:
		text += fmt.Sprintf("%d, %s", p.Sqn, window(p.Trail, p.Lead))
	case wire.TypeODATA, wire.TypeRDATA:
		text += fmt.Sprintf("%d, %d B", p.Sqn, len(p.Payload))
		switch {
		case parity && p.Type == wire.TypeRDATA:
			text += ", parity that was asked for"
		case parity:
			text += ", parity ahead"
		case p.Type == wire.TypeRDATA:
			text += ", repair"
		}
		if o.Has(wire.OptFragment) && !parity {
			f := o.Fragment
			text += fmt.Sprintf(", %d-%d of %d B", f.Offset, uint64(f.Offset)+uint64(len(p.Payload)), f.Length)
		}
	case wire.TypeNAK, wire.TypeNNAK, wire.TypeNCF:
		text += numbers(p.Numbers(nil))
		switch {
		case parity && p.Type == wire.TypeNCF:
			text += ", parity confirmed"
		case parity:
			text += ", asks for parity of its group"
		case p.Type == wire.TypeNAK:
			text += ", asks for them again"
		case p.Type == wire.TypeNNAK:
			text += ", asked elsewhere"
		default:
			text += ", repair is coming"
		}
	case wire.TypeSPMR:
		text += "asks for an SPM"
	case wire.TypeACK:
		text += fmt.Sprintf("%d, acknowledges", p.Sqn)
		if o.Has(wire.OptPeer) && o.Peer.Report.On {
			r := o.Peer.Report
			text = fmt.Sprintf("ACK holds %d to %d", r.Start, r.Front-1)
			if r.Front == r.Start {
				text = "ACK holds nothing yet"
			}
		}
	case wire.TypePOLL:
		text += fmt.Sprintf("%d, who is there", p.Sqn)
	case wire.TypePOLR:
		text += fmt.Sprintf("%d, is there", p.Sqn)
	}
	for _, x := range []struct {
		o wire.Option
		s string
	}{{wire.OptSYN, "begins"}, {wire.OptFIN, "ends"}, {wire.OptRST, "breaks off"}} {
		if o.Has(x.o) {
			text += ", " + x.s
		}
	}
	return text
}

// window says what a source holds.
func window(trail, lead seq.Num) string {
	if lead.Less(trail) {
		return "holds nothing"
	}
	return fmt.Sprintf("holds %d to %d", trail, lead)
}

// numbers writes numbers with ranges: 5, 12-14.
func numbers(list []seq.Num) string {
	slices.SortFunc(list, func(a, b seq.Num) int { return a.Sub(b) })
	var parts []string
	for i := 0; i < len(list); {
		j := i
		for j+1 < len(list) && list[j+1] == list[j]+1 {
			j++
		}
		part := fmt.Sprint(list[i])
		if j > i {
			part += fmt.Sprintf("-%d", list[j])
		}
		parts = append(parts, part)
		i = j + 1
	}
	return strings.Join(parts, " ")
}

// details are the lines of -v: ports and window, and each option with its fields.
func details(p *wire.Packet) []string {
	o := &p.Options
	lines := []string{fmt.Sprintf("TSI %v, ports %d to %d", p.TSI(), p.SourcePort, p.DestinationPort)}
	switch p.Type {
	case wire.TypeSPM, wire.TypePOLL:
		lines[0] += fmt.Sprintf(", path %v", p.Path)
	case wire.TypeODATA, wire.TypeRDATA:
		lines[0] += fmt.Sprintf(", trail %d", p.Trail)
	case wire.TypeNAK, wire.TypeNNAK, wire.TypeNCF:
		lines[0] += fmt.Sprintf(", source %v, group %v", p.Source, p.Group)
	case wire.TypeACK:
		lines[0] += fmt.Sprintf(", bitmap %032b", p.Bitmap)
	}
	encoded := p.Flags&wire.FlagParity != 0 && (p.Type == wire.TypeODATA || p.Type == wire.TypeRDATA)
	for x := wire.OptLength + 1; x < 64; x++ { // a set has no more
		if !o.Has(x) {
			continue
		}
		value := any("")
		switch x {
		case wire.OptFragment:
			if value = any(o.Fragment); encoded {
				value = "encoded"
			}
		case wire.OptNAKList:
			value = numbers(slices.Clone(o.NAKList.Sqn[:o.NAKList.N]))
		case wire.OptJoin:
			value = o.Join
		case wire.OptBackoffInterval:
			value = o.BackoffInterval
		case wire.OptBackoffRange:
			value = o.BackoffRange
		case wire.OptRedirect:
			value = o.Redirect
		case wire.OptPathNLA:
			value = o.PathNLA
		case wire.OptParityPRM:
			value = o.ParityPRM
		case wire.OptParityGroup:
			value = o.ParityGroup
		case wire.OptCurrTGSize:
			value = o.CurrTGSize
		case wire.OptRST:
			value = o.Reset
		case wire.OptCR:
			value = o.CR
		case wire.OptCRQST:
			value = o.CRQST
		case wire.OptPGMCCData:
			value = o.PGMCCData
		case wire.OptPGMCCFeedback:
			value = o.PGMCCFeedback
		case wire.OptPeer:
			value = brief(reflect.ValueOf(o.Peer))
		}
		lines = append(lines, strings.TrimRight(fmt.Sprintf("%v %+v", x, value), " "))
	}
	return lines
}

// brief writes the fields of a struct that are not zero.
func brief(v reflect.Value) string {
	var parts []string
	for i := range v.NumField() {
		name, f := v.Type().Field(i).Name, v.Field(i)
		switch {
		case f.IsZero():
		case f.Kind() == reflect.Struct:
			parts = append(parts, fmt.Sprintf("%s (%s)", name, brief(f)))
		case f.Kind() == reflect.Bool:
			parts = append(parts, name)
		default:
			parts = append(parts, fmt.Sprintf("%s %v", name, f))
		}
	}
	return strings.Join(parts, ", ")
}
