package source

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"path"
	"strings"

	"oras.land/oras-go/v2/content"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// module finds the module in the layers of an image. What is published differs:
//
//   - a layer that is the module itself: the artifacts of Envoy, Istio and of
//     wasm-to-oci, and those of the CNCF;
//   - a layer that is an archive with the file plugin.wasm: images that docker
//     and buildah make, and Higress's, where the module comes with other layers,
//     such as its description, in any order.
//
// Types are no more than a hint: what a layer is, its first bytes tell.
func module(ctx context.Context, from content.Fetcher, layers []ocispec.Descriptor) ([]byte, error) {
	if len(layers) == 0 {
		return nil, errors.New("the image has no layer")
	}
	if len(layers) > 128 {
		return nil, errors.New("the image has more than 128 layers")
	}
	for _, l := range layers {
		if isModule(l.MediaType) {
			return layer(ctx, from, l)
		}
	}
	// The last layer that has the file is what a container would see.
	for i := len(layers) - 1; i >= 0; i-- {
		if l := layers[i]; isArchive(l.MediaType) {
			if wasm, err := layer(ctx, from, l); !errors.Is(err, errNone) {
				return wasm, err
			}
		}
	}
	return nil, errNone
}

var errNone = errors.New("no layer of the image is a WebAssembly module, or an archive with plugin.wasm")

func isModule(mediaType string) bool {
	switch mediaType {
	case "application/vnd.module.wasm.content.layer.v1+wasm", "application/vnd.wasm.content.layer.v1+wasm", "application/wasm":
		return true
	}
	return false
}

func isArchive(mediaType string) bool {
	return strings.HasPrefix(mediaType, "application/vnd.oci.image.layer.v1.tar") ||
		strings.HasPrefix(mediaType, "application/vnd.docker.image.rootfs.diff.tar") ||
		strings.HasPrefix(mediaType, "application/vnd.module.wasm.content.layer")
}

// layer returns the module that a layer is, or holds.
func layer(ctx context.Context, from content.Fetcher, d ocispec.Descriptor) ([]byte, error) {
	if d.Size > maxModule {
		return nil, fmt.Errorf("a layer of %d MiB is too large", d.Size>>20)
	}
	b, err := content.FetchAll(ctx, from, d)
	if err != nil {
		return nil, fmt.Errorf("a layer of the image: %w", err)
	}
	return unpack(b)
}

// unpack takes the module out of the bytes of a layer: they may be compressed,
// and an archive.
func unpack(b []byte) ([]byte, error) {
	if bytes.HasPrefix(b, []byte("\x1f\x8b")) {
		z, err := gzip.NewReader(bytes.NewReader(b))
		if err == nil {
			b, err = readMost(z, maxModule)
		}
		if err != nil {
			return nil, fmt.Errorf("a layer of the image: %w", err)
		}
	}
	if bytes.HasPrefix(b, magic) {
		return b, nil
	}
	if len(b) == 0 {
		return nil, errNone
	}
	return untar(b)
}

// untar returns the file plugin.wasm of an archive, or else the only one whose
// name ends in .wasm.
func untar(b []byte) ([]byte, error) {
	var other []byte
	others := 0
	for t := tar.NewReader(bytes.NewReader(b)); ; {
		h, err := t.Next()
		if err == io.EOF {
			break
		} else if err != nil {
			return nil, fmt.Errorf("a layer of the image is neither a module nor an archive: %w", err)
		}
		name := path.Base(h.Name)
		if h.Typeflag != tar.TypeReg || !strings.HasSuffix(name, ".wasm") {
			continue
		}
		if others++; name != "plugin.wasm" && others > 1 {
			continue
		}
		file, err := readMost(t, maxModule)
		if err != nil {
			return nil, fmt.Errorf("a layer of the image: %s: %w", h.Name, err)
		}
		if name == "plugin.wasm" {
			return file, nil
		}
		other = file
	}
	switch others {
	case 0:
		return nil, errNone
	case 1:
		return other, nil
	}
	return nil, errors.New("the image holds several modules, and none is called plugin.wasm")
}
