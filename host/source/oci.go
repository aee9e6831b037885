package source

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"oras.land/oras-go/v2/content"
	"oras.land/oras-go/v2/errdef"
	"oras.land/oras-go/v2/registry"
	"oras.land/oras-go/v2/registry/remote"
	"oras.land/oras-go/v2/registry/remote/auth"
	"oras.land/oras-go/v2/registry/remote/credentials"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// pull gets the module of an image.
func (s *Store) pull(ctx context.Context, r Ref, pinned string) ([]byte, entry, error) {
	repo, err := s.repository(r.image)
	if err != nil {
		return nil, entry{}, err
	}
	name := r.image.Reference
	if pinned != "" {
		name = pinned
	}
	root, err := repo.Resolve(ctx, name)
	if err != nil {
		return nil, entry{}, fmt.Errorf("%s: %w", r.image.Registry, err)
	}
	e := entry{Image: root.Digest.String()}
	desc, m, err := manifest(ctx, repo, root)
	if err != nil {
		return nil, entry{}, err
	}
	if desc.Digest != root.Digest {
		e.Manifest = desc.Digest.String()
	}
	if r.Key != nil {
		// Before anything of the image is looked at.
		if e.Signatures, err = signatures(ctx, repo, root.Digest, desc.Digest); err != nil {
			return nil, entry{}, err
		}
		if !r.Key.verifies(e.Signatures, e.Image, e.Manifest) {
			return nil, entry{}, errors.New("the image is not signed with the key of public_key_file")
		}
	}
	wasm, err := module(ctx, repo, m.Layers)
	return wasm, e, err
}

// repository is asked with the credentials that docker and others were given.
func (s *Store) repository(image registry.Reference) (*remote.Repository, error) {
	known, err := credentials.NewStoreFromDocker(credentials.StoreOptions{})
	if err != nil {
		return nil, fmt.Errorf("the credentials for registries: %w", err)
	}
	client := &auth.Client{Client: s.client, Credential: credentials.Credential(known), Cache: auth.NewCache()}
	client.SetUserAgent(userAgent)
	return &remote.Repository{
		Client: client, Reference: image, PlainHTTP: loopback(image.Registry), MaxMetadataBytes: maxDocument,
	}, nil
}

// document reads what is small.
func document(ctx context.Context, from content.Fetcher, d ocispec.Descriptor) ([]byte, error) {
	if d.Size > maxDocument {
		return nil, fmt.Errorf("a document of %d bytes is too large", d.Size)
	}
	return content.FetchAll(ctx, from, d)
}

// The types of lists of manifests and of manifests.
const (
	dockerList  = "application/vnd.docker.distribution.manifest.list.v2+json"
	dockerImage = "application/vnd.docker.distribution.manifest.v2+json"
)

// manifest reads the one of an image, for the platform that suits if there are
// several.
func manifest(ctx context.Context, repo *remote.Repository, d ocispec.Descriptor) (ocispec.Descriptor, *ocispec.Manifest, error) {
	if d.MediaType == ocispec.MediaTypeImageIndex || d.MediaType == dockerList {
		b, err := document(ctx, repo, d)
		if err != nil {
			return d, nil, err
		}
		var index ocispec.Index
		if err := json.Unmarshal(b, &index); err != nil {
			return d, nil, fmt.Errorf("the index of the image: %w", err)
		}
		if d, err = choose(index.Manifests); err != nil {
			return d, nil, err
		}
	}
	if d.MediaType != ocispec.MediaTypeImageManifest && d.MediaType != dockerImage {
		return d, nil, fmt.Errorf("it is no image: its type is %q", d.MediaType)
	}
	b, err := document(ctx, repo, d)
	if err != nil {
		return d, nil, err
	}
	m := &ocispec.Manifest{}
	if err := json.Unmarshal(b, m); err != nil {
		return d, nil, fmt.Errorf("the manifest of the image: %w", err)
	}
	return d, m, nil
}

// choose takes the image for WebAssembly, or else the first for a platform: what
// has none that is known is an attestation, as buildx adds them.
func choose(list []ocispec.Descriptor) (ocispec.Descriptor, error) {
	first := -1
	for i, d := range list {
		if d.MediaType != ocispec.MediaTypeImageManifest && d.MediaType != dockerImage {
			continue
		}
		if p := d.Platform; p != nil && strings.HasPrefix(p.Architecture, "wasm") {
			return d, nil
		} else if first < 0 && (p == nil || p.Architecture != "unknown") {
			first = i
		}
	}
	if first < 0 {
		return ocispec.Descriptor{}, errors.New("the index of the image lists no image")
	}
	return list[first], nil
}

// signatureType is that of the layers of a signature, each a statement.
const (
	signatureType = "application/vnd.dev.cosign.simplesigning.v1+json"
	signatureNote = "dev.cosignproject.cosign/signature"
	maxSignatures = 64
)

// signatures reads what cosign stored beside an image, or beside the one of its
// platform: an image whose tag is made of the digest.
func signatures(ctx context.Context, repo *remote.Repository, of ...digest.Digest) ([]signature, error) {
	var list []signature
	for i, d := range of {
		if i > 0 && d == of[0] {
			break
		}
		tag := strings.Replace(d.String(), ":", "-", 1) + ".sig"
		at, err := repo.Resolve(ctx, tag)
		if errors.Is(err, errdef.ErrNotFound) {
			continue
		} else if err != nil {
			return nil, fmt.Errorf("the signatures of the image: %w", err)
		}
		_, m, err := manifest(ctx, repo, at)
		if err != nil {
			return nil, fmt.Errorf("the signatures of the image: %w", err)
		}
		for _, layer := range m.Layers[:min(len(m.Layers), maxSignatures)] {
			sig, err := base64.StdEncoding.DecodeString(layer.Annotations[signatureNote])
			if err != nil || len(sig) == 0 || layer.MediaType != signatureType {
				continue
			}
			payload, err := document(ctx, repo, layer)
			if err != nil {
				return nil, fmt.Errorf("the signatures of the image: %w", err)
			}
			list = append(list, signature{payload, sig})
		}
	}
	return list, nil
}
