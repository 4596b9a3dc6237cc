// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package repository_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"regexp"
	"runtime/debug"
	"strconv"
	"testing"

	"github.com/jiocloud/upgrade-controller/controllers/gitsync/gittest"
	"github.com/jiocloud/upgrade-controller/controllers/gitsync/repository"
)

// noise returns text that does not compress.
func noise(random *rand.ChaCha8, n int) string {
	data := make([]byte, n)
	_, _ = random.Read(data) // it never fails
	return string(data)
}

// BenchmarkRead reads one manifest of large repositories over TLS. It reports the peak memory of the process.
func BenchmarkRead(b *testing.B) {
	for name, fill := range map[string]func(r *gittest.Repository) repository.Ref{
		"10000_files":   tenThousandFiles,
		"50_MB_history": fiftyMegabytes,
		"30_MB_file": func(r *gittest.Repository) repository.Ref {
			r.Commit("docs/large.bin", noise(rand.NewChaCha8([32]byte{3}), 30<<20), "plans/a.yaml", "1")
			return repository.Ref{}
		},
		"first_commit_of_50_MB": func(r *gittest.Repository) repository.Ref {
			first := r.Commit("plans/a.yaml", "1")
			fiftyMegabytes(r)
			return repository.Ref{Commit: first}
		},
	} {
		b.Run(name, func(b *testing.B) {
			r := gittest.New(b)
			ref := fill(r)
			server := gittest.ServeHTTPS(b, r)
			l := repository.Location{URL: server.URL, Ref: ref, Path: "plans",
				Auth: repository.Auth{TokenFile: server.TokenFile, CAFile: server.CAFile}}
			debug.FreeOSMemory()
			_ = peak(b) // creating the repository does not count
			for b.Loop() {
				if _, files := mustRead(b, l); files == "" {
					b.Fatal("nothing was read")
				}
			}
			b.ReportMetric(peak(b), "peak-MiB")
		})
	}
}

func tenThousandFiles(r *gittest.Repository) repository.Ref {
	random := rand.NewChaCha8([32]byte{1})
	for i := range 10_000 {
		r.Write(fmt.Sprintf("docs/%d/%d.txt", i/100, i), noise(random, 1000))
	}
	r.Commit("plans/a.yaml", "1")
	return repository.Ref{}
}

func fiftyMegabytes(r *gittest.Repository) repository.Ref {
	random := rand.NewChaCha8([32]byte{2})
	for range 50 {
		r.Commit("docs/large.bin", noise(random, 1<<20), "plans/a.yaml", "1")
	}
	return repository.Ref{}
}

// peak returns the peak memory of the process since the last call, in MiB.
func peak(b *testing.B) float64 {
	b.Helper()
	text, err := os.ReadFile("/proc/self/status")
	if err != nil {
		b.Skip("needs /proc")
	}
	found := regexp.MustCompile(`VmHWM:\s+(\d+) kB`).FindSubmatch(text)
	if found == nil {
		b.Skip("needs VmHWM in /proc/self/status")
	}
	kib, err := strconv.ParseFloat(string(found[1]), 64)
	if err != nil {
		b.Fatal(err)
	}
	if err := os.WriteFile("/proc/self/clear_refs", []byte("5"), 0); err != nil {
		b.Skip(err)
	}
	return kib / 1024
}
