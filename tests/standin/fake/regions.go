package main

import (
	"bytes"
	"sync"
	"time"

	"github.com/pingcap/kvproto/pkg/metapb"
)

const (
	lower, upper = 2, 3 // ids of the regions
	accounts     = "qq/bank/"
	middle       = "00000004"
	outage       = 200 * time.Millisecond // longer than the client goes on asking
)

// regions is one until the first key of a run is asked for, then two: the accounts up to the third, and the others.
type regions struct {
	mutex    sync.Mutex
	boundary []byte
	failing  uint64 // id of a region whose lookup fails
	until    time.Time
}

// of returns the region of a key, and whether it can be looked up now.
func (r *regions) of(key []byte) (*metapb.Region, bool) {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	if r.boundary == nil && bytes.HasPrefix(key, []byte(accounts)) {
		end := len(accounts) + bytes.IndexByte(key[len(accounts):], '/') + 1
		r.boundary = append(append([]byte{}, key[:end]...), middle...)
	}
	region := r.region(r.id(key))
	return region, region.Id != r.failing || time.Now().After(r.until)
}

func (r *regions) byID(id uint64) *metapb.Region {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	return r.region(id)
}

func (r *regions) idOf(key []byte) uint64 {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	return r.id(key)
}

// fail makes lookups of a region fail for a while.
func (r *regions) fail(id uint64) {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	r.failing, r.until = id, time.Now().Add(outage)
}

func (r *regions) id(key []byte) uint64 {
	if r.boundary == nil || bytes.Compare(key, r.boundary) < 0 {
		return lower
	}
	return upper
}

func (r *regions) region(id uint64) *metapb.Region {
	region := &metapb.Region{
		Id:          id,
		RegionEpoch: &metapb.RegionEpoch{ConfVer: 1, Version: 1},
		Peers:       []*metapb.Peer{{Id: 10 + id, StoreId: 1}},
	}
	if r.boundary == nil {
		return region
	}
	region.RegionEpoch.Version = 2
	if id == lower {
		region.EndKey = encode(r.boundary)
	} else {
		region.StartKey = encode(r.boundary)
	}
	return region
}

// encode is TiKV's memory-comparable form of a key: groups of eight bytes, each with a ninth that counts its padding.
func encode(key []byte) []byte {
	var out []byte
	for at := 0; at <= len(key); at += 8 {
		group := [9]byte{}
		count := copy(group[:8], key[at:])
		group[8] = byte(0xff - 8 + count)
		out = append(out, group[:]...)
	}
	return out
}

func decode(key []byte) []byte {
	var out []byte
	for ; len(key) >= 9; key = key[9:] {
		out = append(out, key[:8-int(0xff-key[8])]...)
	}
	return out
}
