package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"unsafe"
)

// disk is a file system of its own on a loop device. cut takes its power away:
// what was not synced is lost, as no page cache survives it.
type disk struct{ dir, image string }

// newDisk makes a disk of 256 MiB, or skips the test where only root could do
// that.
func newDisk(t *testing.T) *disk {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("only root can mount a disk of its own")
	}
	mkfs := needs(t, "mkfs.ext4", "apt-get install e2fsprogs")
	base := t.TempDir()
	d := &disk{dir: filepath.Join(base, "disk"), image: filepath.Join(base, "image")}
	if err := os.Mkdir(d.dir, 0o700); err != nil {
		t.Fatal(err)
	}
	image, err := os.Create(d.image)
	if err != nil {
		t.Fatal(err)
	}
	if err := image.Truncate(256 << 20); err != nil {
		t.Fatal(err)
	}
	if err := image.Close(); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command(mkfs, "-q", "-F", d.image).CombinedOutput(); err != nil {
		t.Fatalf("mkfs.ext4: %v: %s", err, out)
	}
	if err := d.mount(); err != nil {
		noDisk(t, err)
	}
	t.Cleanup(func() {
		if err := d.umount(); err != nil {
			t.Error(err)
		}
	})
	return d
}

// noDisk skips the test where root may not mount, as in most containers. Where
// everything has to run, any other reason is a failure.
func noDisk(t *testing.T, err error) {
	t.Helper()
	text := err.Error()
	allowed := !strings.Contains(text, "denied") && !strings.Contains(text, "not permitted") && !strings.Contains(text, "loop device")
	if allowed && os.Getenv("HOOFBEAT_E2E") == "required" {
		t.Fatal(err)
	}
	t.Skipf("no disk can be mounted here: %v", err)
}

func (d *disk) mount() error { return command("mount", "-o", "loop", d.image, d.dir) }

func (d *disk) umount() error { return command("umount", d.dir) }

func command(name string, args ...string) error {
	if out, err := exec.Command(name, args...).CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w: %s", name, err, out)
	}
	return nil
}

// cut stops all writing to the disk at once, without writing what is in memory:
// the ioctl with which the tests of Linux's file systems simulate a power
// failure. From then on every write and sync fails with EIO.
func (d *disk) cut() error {
	const (
		shutdown   = 0x8004587d // FS_IOC_SHUTDOWN
		noLogFlush = 2
	)
	root, err := os.Open(d.dir)
	if err != nil {
		return err
	}
	defer root.Close()
	flags := uint32(noLogFlush)
	if _, _, no := syscall.Syscall(syscall.SYS_IOCTL, root.Fd(), shutdown, uintptr(unsafe.Pointer(&flags))); no != 0 {
		return os.NewSyscallError("FS_IOC_SHUTDOWN", no)
	}
	return nil
}

// restore mounts the disk again. No process may use it. What is there is what
// was on the device.
func (d *disk) restore(t *testing.T) {
	t.Helper()
	if err := d.umount(); err != nil {
		t.Fatal(err)
	}
	if err := d.mount(); err != nil {
		t.Fatal(err)
	}
}
