package capture

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"
)

// Config says how much a File keeps. In each field zero means the default that its comment names.
type Config struct {
	// SnapBytes is how much of each packet is written, in bytes, its IP header included; 120 is enough for the headers of most.
	// Zero: all of it.
	SnapBytes int

	// MaxBytes bounds the file, in bytes; at least 256 KiB. Negative: nothing does. Zero: 256 MiB.
	MaxBytes int64

	// Ring keeps the newest packets in place of the oldest: when the file has half of MaxBytes it gets the name that Old returns, in the place of the one
	// before, and a new one is begun. Only with Create. Zero: when MaxBytes is reached no more is written.
	Ring bool

	// BufferBytes bounds what waits for the disk, in bytes; what has no room is dropped. Twice as much memory is used. At most a quarter of MaxBytes.
	// Zero: 4 MiB, or that quarter.
	BufferBytes int
}

const (
	defaultMaxBytes    = 256 << 20
	minMaxBytes        = 256 << 10
	defaultBufferBytes = 4 << 20
	maxInterfaces      = 128     // Conns that differ in interface, role or group beyond them are described as the last one is
	maxText            = 64      // bytes of an interface's name and description each
	reserve            = 288     // bytes, at least, of the description and the statistics of an interface
	wholePacket        = 1 << 18 // pcapng's word for no limit, which readers take
)

func (c *Config) withDefaults() (Config, error) {
	var d Config
	if c != nil {
		d = *c
	}
	switch {
	case d.SnapBytes < 0 || d.BufferBytes < 0:
		return d, fmt.Errorf("capture: Config: SnapBytes is %d and BufferBytes %d, want none negative", d.SnapBytes, d.BufferBytes)
	case d.MaxBytes > 0 && d.MaxBytes < minMaxBytes:
		return d, fmt.Errorf("capture: Config: MaxBytes is %d, want at least %d", d.MaxBytes, minMaxBytes)
	case d.MaxBytes < 0 && d.Ring:
		return d, errors.New("capture: Config: Ring is set and MaxBytes negative: a ring has a length")
	}
	if d.SnapBytes == 0 {
		d.SnapBytes = wholePacket
	}
	if d.MaxBytes == 0 {
		d.MaxBytes = defaultMaxBytes
	}
	if d.BufferBytes == 0 {
		d.BufferBytes = defaultBufferBytes
	}
	if d.MaxBytes > 0 {
		d.BufferBytes = int(min(int64(d.BufferBytes), d.MaxBytes/4))
	}
	return d, nil
}

// Stats says what a File holds.
type Stats struct {
	Packets   uint64 // written, or waiting to be
	Bytes     int64  // written to the file, or with Ring to all of them
	Dropped   uint64 // packets that were not, because the disk is slow, has failed, or the file is full
	Full      bool   // MaxBytes is reached, and nothing more is written
	Rotations uint64 // with Ring: how often a new file was begun
	Err       error  // why writing failed; nothing more is written
}

// File is a capture that is being written. Its methods may be called from several goroutines.
type File struct {
	cfg  Config
	name string // "" with New
	wake chan struct{}
	done chan struct{} // closed by Close
	gone chan struct{} // closed when the goroutine has ended

	lock       sync.Mutex
	pending    chunk
	spare      chunk // what pending was before; empty while it is being written
	interfaces []observed
	queued     int64 // bytes ever put into pending
	stats      Stats
	closed     bool
	ipID       uint16

	// The goroutine's own:
	w         io.Writer
	size      int64  // of this file
	described []byte // interface blocks that were written
}

// observed is what is counted of an interface.
type observed struct {
	name, description string
	packets, dropped  uint64
	untold            uint64 // of dropped, those since its last packet
}

// chunk is blocks on their way to the file.
type chunk struct {
	blocks     []byte
	interfaces []byte // copies of the interface blocks among them
}

// Create creates or truncates the named file and captures into it.
func Create(name string, cfg *Config) (*File, error) {
	c, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	w, err := os.Create(name)
	if err != nil {
		return nil, fmt.Errorf("capture: %w", err)
	}
	return start(w, name, c), nil
}

// New captures into w, which is written to by one goroutine until Close has returned, and is not closed.
func New(w io.Writer, cfg *Config) (*File, error) {
	c, err := cfg.withDefaults()
	if err == nil && c.Ring {
		err = errors.New("capture: Config: Ring is set, and New has no files to turn: use Create")
	}
	if err != nil {
		return nil, err
	}
	return start(w, "", c), nil
}

func start(w io.Writer, name string, cfg Config) *File {
	f := &File{cfg: cfg, name: name, w: w, wake: make(chan struct{}, 1), done: make(chan struct{}), gone: make(chan struct{})}
	f.pending.blocks = appendSection(nil)
	f.queued = int64(len(f.pending.blocks))
	f.signal()
	go f.loop()
	return f
}

// Stats returns what was counted so far. It may be called after Close too.
func (f *File) Stats() Stats {
	f.lock.Lock()
	defer f.lock.Unlock()
	return f.stats
}

// Close writes what waits, and how many packets were dropped, and closes the file that Create made. It waits for the disk. It returns the first error of
// writing; of a File that is closed, fs.ErrClosed.
func (f *File) Close() error {
	f.lock.Lock()
	if f.closed {
		f.lock.Unlock()
		return fs.ErrClosed
	}
	f.closed = true
	now := time.Now()
	comment := ""
	if f.stats.Full {
		comment = "the capture ended when the file was full"
	}
	for id, i := range f.interfaces {
		f.pending.blocks = appendStatistics(f.pending.blocks, id, now, i.packets, i.dropped, comment)
	}
	f.lock.Unlock()
	close(f.done)
	<-f.gone
	return f.Stats().Err
}

// describe returns the id of the interface of that name and description, and adds it where it is new.
func (f *File) describe(name, description string) int {
	name, description = name[:min(len(name), maxText)], description[:min(len(description), maxText)]
	f.lock.Lock()
	defer f.lock.Unlock()
	for id, i := range f.interfaces {
		if i.name == name && i.description == description {
			return id
		}
	}
	if len(f.interfaces) == maxInterfaces || f.closed {
		return len(f.interfaces) - 1
	}
	f.interfaces = append(f.interfaces, observed{name: name, description: description})
	before := len(f.pending.blocks)
	f.pending.blocks = appendInterface(f.pending.blocks, name, description, f.cfg.SnapBytes)
	block := f.pending.blocks[before:]
	f.pending.interfaces = append(f.pending.interfaces, block...)
	f.queued += int64(len(block))
	f.signal()
	return len(f.interfaces) - 1
}

// run takes the datagrams of a run, whose headers p has. f.lock is held.
func (f *File) run(id int, flags uint32, p *packet, b []byte, segment int) {
	if f.closed || id < 0 {
		return
	}
	if segment <= 0 {
		segment = len(b)
	}
	flags |= flagsUnicast
	if p.to.Addr().IsMulticast() {
		flags ^= flagsUnicast | flagsMulticast
	}
	now := time.Now()
	on := &f.interfaces[id]
	for len(b) > 0 {
		p.payload = b[:min(len(b), segment)]
		b = b[len(p.payload):]
		f.ipID++
		p.id = f.ipID
		if !f.fits(p) {
			on.dropped++
			on.untold++
			f.stats.Dropped++
			continue
		}
		before := len(f.pending.blocks)
		f.pending.blocks = appendPacket(f.pending.blocks, id, now, flags, on.untold, p, f.cfg.SnapBytes)
		f.queued += int64(len(f.pending.blocks) - before)
		on.packets++
		on.untold = 0
		f.stats.Packets++
	}
	f.signal()
}

// fits reports whether there is room for a packet, and for what has to follow.
func (f *File) fits(p *packet) bool {
	const overhead = 64 // of the block
	// The captured part may be short, but all of it is in the buffer for a moment.
	if f.stats.Err != nil || f.stats.Full || len(f.pending.blocks)+p.length()+overhead > f.cfg.BufferBytes {
		return false
	}
	if f.cfg.Ring || f.cfg.MaxBytes < 0 {
		return true
	}
	size := int64(min(p.length(), f.cfg.SnapBytes) + overhead)
	f.stats.Full = f.queued+size+maxInterfaces*reserve > f.cfg.MaxBytes
	return !f.stats.Full
}

func (f *File) signal() {
	select {
	case f.wake <- struct{}{}:
	default:
	}
}

// loop writes what is pending, until Close.
func (f *File) loop() {
	defer close(f.gone)
	for open := true; open; {
		select {
		case <-f.wake:
		case <-f.done:
			open = false
		}
		f.lock.Lock()
		c, failed := f.pending, f.stats.Err != nil
		f.pending, f.spare = f.spare, chunk{}
		f.lock.Unlock()
		n, turned, err := 0, false, error(nil)
		if !failed {
			n, turned, err = f.write(c)
		}
		f.lock.Lock()
		f.stats.Bytes += int64(n)
		if turned {
			f.stats.Rotations++
		}
		if err != nil {
			f.stats.Err = fmt.Errorf("capture: %w", err)
		}
		f.spare = chunk{c.blocks[:0], c.interfaces[:0]}
		f.lock.Unlock()
	}
	if c, ok := f.w.(io.Closer); ok && f.name != "" {
		if err := c.Close(); err != nil {
			f.lock.Lock()
			f.stats.Err = errors.Join(f.stats.Err, err)
			f.lock.Unlock()
		}
	}
}

// write writes a chunk, into a new file if this one would get too long.
func (f *File) write(c chunk) (written int, turned bool, err error) {
	if f.cfg.Ring && f.size+int64(len(c.blocks)) > f.cfg.MaxBytes/2 {
		if err := f.turn(); err != nil {
			return 0, false, err
		}
		turned = true
		head := append(appendSection(nil), f.described...)
		if written, err = f.w.Write(head); err != nil {
			return written, turned, err
		}
	}
	n, err := f.w.Write(c.blocks)
	written += n
	if turned {
		f.size = 0
	}
	f.size += int64(written)
	f.described = append(f.described, c.interfaces...)
	return written, turned, err
}

// turn gives the file its other name and begins a new one.
func (f *File) turn() error {
	if err := f.w.(*os.File).Close(); err != nil {
		return err
	}
	if err := os.Rename(f.name, f.Old()); err != nil {
		return err
	}
	w, err := os.Create(f.name)
	if err == nil {
		f.w = w
	}
	return err
}

// Old returns the name that Ring gives the file before: session.old.pcapng for session.pcapng.
func (f *File) Old() string {
	ext := filepath.Ext(f.name)
	return strings.TrimSuffix(f.name, ext) + ".old" + ext
}
