package main

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// names returns the order in which modules load whose dependencies are given; those with none and a star are built in.
func names(needs map[string]string, wanted ...string) ([]string, error) {
	mods, err := order(wanted, func(name string) (*module, []string, error) {
		list, ok := needs[name]
		switch {
		case !ok:
			return nil, nil, fmt.Errorf("no %s", name)
		case list == "*":
			return nil, nil, nil
		}
		return &module{name: name}, strings.Fields(list), nil
	})
	var out []string
	for _, m := range mods {
		out = append(out, m.name)
	}
	return out, err
}

func TestModuleOrder(t *testing.T) {
	needs := map[string]string{
		"bridge": "stp llc", "stp": "llc", "llc": "", "veth": "", "nf_tables": "nfnetlink libcrc32c", "nfnetlink": "",
		"libcrc32c": "crc32c", "crc32c": "*", "nft_numgen": "nf_tables", "a": "b", "b": "c", "c": "a",
	}
	got, err := names(needs, "bridge", "veth", "nft-numgen", "nf_tables")
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"llc", "stp", "bridge", "veth", "nfnetlink", "libcrc32c", "nf_tables", "nft_numgen"}
	if !slices.Equal(got, want) {
		t.Errorf("got  %v\nwant %v", got, want)
	}
	if _, err := names(needs, "sch_netem"); err == nil {
		t.Error("a module that is not there was found")
	}
	if _, err := names(needs, "a"); err == nil || !strings.Contains(err.Error(), "itself") {
		t.Errorf("a circle: %v", err)
	}
}

func TestParseDepends(t *testing.T) {
	info := "license=GPL\x00depends=nf_tables,nfnetlink,x-y\x00retpoline=Y\x00intree=Y\x00name=nft_numgen\x00"
	if got := parseDepends([]byte(info)); !slices.Equal(got, []string{"nf_tables", "nfnetlink", "x_y"}) {
		t.Errorf("got %q", got)
	}
	if got := parseDepends([]byte("depends=\x00parmdepends=a\x00")); len(got) != 0 {
		t.Errorf("of nothing: %q", got)
	}
}

func TestModuleTree(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{
		"kernel/net/sched/sch_netem.ko": "not ELF", "kernel/net/x/nfnetlink-log.ko.xz": "", "kernel/net/readme": "",
		"modules.builtin": "kernel/lib/crc-t10dif.ko\nkernel/net/ipv6/ipv6.ko\n",
	} {
		name = filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	tree, err := openModules(dir)
	if err != nil {
		t.Fatal(err)
	}
	if len(tree.files) != 2 || tree.files["nfnetlink_log"] == "" || tree.files["sch_netem"] == "" {
		t.Errorf("files: %v", tree.files)
	}
	if mods, err := tree.load([]string{"crc_t10dif", "ipv6"}); err != nil || len(mods) != 0 {
		t.Errorf("what is built in loads as %v, %v", mods, err)
	}
	if _, err := tree.load([]string{"sch_netem"}); err == nil {
		t.Error("a module that is no ELF file was taken")
	}
	if _, err := tree.load([]string{"sch_tbf"}); err == nil {
		t.Error("a module that is not there was found")
	}
}
