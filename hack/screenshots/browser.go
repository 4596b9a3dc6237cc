// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"
)

// The width of pictures of the dashboard, in pixels.
const pageWidth = 1280

// photograph takes dashboard.png and dashboard-dark.png of a live plan page, down to its last role.
func photograph(ctx context.Context, url, folder string) error {
	ctx, stop, err := browser(ctx)
	if err != nil {
		return err
	}
	defer stop()
	for _, picture := range []struct{ scheme, file string }{{"light", "dashboard.png"}, {"dark", "dashboard-dark.png"}} {
		var data []byte
		var bottom float64
		if err := chromedp.Run(ctx,
			chromedp.EmulateViewport(pageWidth, 1000),
			emulation.SetFocusEmulationEnabled(true), // a hidden page is not live
			emulation.SetEmulatedMedia().WithFeatures([]*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: picture.scheme}}),
			chromedp.Navigate(url),
			chromedp.Poll(`document.getElementById("live").className === "live"`, nil, chromedp.WithPollingTimeout(30*time.Second)),
			chromedp.Evaluate(`[...document.querySelectorAll(".role")].pop().getBoundingClientRect().bottom`, &bottom),
			capture(&data, &bottom),
		); err != nil {
			return fmt.Errorf("%s: %w", url, err)
		}
		if err := os.WriteFile(filepath.Join(folder, picture.file), data, 0o644); err != nil {
			return err
		}
	}
	return nil
}

// capture takes a picture of a page from its top down to a line that earlier actions have found.
func capture(data *[]byte, bottom *float64) chromedp.Action {
	return chromedp.ActionFunc(func(ctx context.Context) (err error) {
		*data, err = page.CaptureScreenshot().WithCaptureBeyondViewport(true).
			WithClip(&page.Viewport{Width: pageWidth, Height: math.Ceil(*bottom), Scale: 1}).Do(ctx)
		return err
	})
}

// browser opens a tab in a headless Chromium. The function stop ends it.
func browser(ctx context.Context) (tab context.Context, stop func(), err error) {
	binary, err := chromium()
	if err != nil {
		return nil, nil, err
	}
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(binary),
		chromedp.Flag("hide-scrollbars", true), chromedp.WSURLReadTimeout(time.Minute))
	if os.Getuid() == 0 {
		options = append(options, chromedp.NoSandbox)
	}
	ctx, stopAllocator := chromedp.NewExecAllocator(ctx, options...)
	tab, stopTab := chromedp.NewContext(ctx)
	return tab, func() { stopTab(); stopAllocator() }, nil
}

func chromium() (string, error) {
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if path, err := exec.LookPath(name); err == nil {
			return path, nil
		}
	}
	return "", errors.New("no chromium, chromium-browser or google-chrome on the PATH")
}
