package main

import (
	"context"
	"sync"
	"time"

	"github.com/pingcap/kvproto/pkg/metapb"
	"github.com/pingcap/kvproto/pkg/pdpb"
)

const clusterID = 1

type pd struct {
	pdpb.UnimplementedPDServer
	address string
	regions *regions

	mutex    sync.Mutex
	physical int64
	logical  int64
}

func header() *pdpb.ResponseHeader { return &pdpb.ResponseHeader{ClusterId: clusterID} }

func (p *pd) GetMembers(context.Context, *pdpb.GetMembersRequest) (*pdpb.GetMembersResponse, error) {
	member := &pdpb.Member{Name: "fake", MemberId: 1, ClientUrls: []string{"http://" + p.address}}
	return &pdpb.GetMembersResponse{Header: header(), Members: []*pdpb.Member{member}, Leader: member}, nil
}

func (p *pd) Tso(stream pdpb.PD_TsoServer) error {
	for {
		request, err := stream.Recv()
		if err != nil {
			return err
		}
		answer := &pdpb.TsoResponse{Header: header(), Count: request.Count, Timestamp: p.timestamps(int64(request.Count))}
		if err := stream.Send(answer); err != nil {
			return err
		}
	}
}

// timestamps returns the last of so many.
func (p *pd) timestamps(count int64) *pdpb.Timestamp {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	if now := time.Now().UnixMilli(); now > p.physical {
		p.physical, p.logical = now, 0
	}
	p.logical += count
	return &pdpb.Timestamp{Physical: p.physical, Logical: p.logical}
}

func (p *pd) GetRegion(_ context.Context, request *pdpb.GetRegionRequest) (*pdpb.GetRegionResponse, error) {
	region, known := p.regions.of(decode(request.RegionKey))
	if !known {
		return &pdpb.GetRegionResponse{Header: header()}, nil
	}
	return &pdpb.GetRegionResponse{Header: header(), Region: region, Leader: region.Peers[0]}, nil
}

func (p *pd) GetRegionByID(_ context.Context, request *pdpb.GetRegionByIDRequest) (*pdpb.GetRegionResponse, error) {
	region := p.regions.byID(request.RegionId)
	return &pdpb.GetRegionResponse{Header: header(), Region: region, Leader: region.Peers[0]}, nil
}

func (p *pd) node() *metapb.Store { return &metapb.Store{Id: 1, Address: p.address} }

func (p *pd) GetStore(context.Context, *pdpb.GetStoreRequest) (*pdpb.GetStoreResponse, error) {
	return &pdpb.GetStoreResponse{Header: header(), Store: p.node()}, nil
}

func (p *pd) GetAllStores(context.Context, *pdpb.GetAllStoresRequest) (*pdpb.GetAllStoresResponse, error) {
	return &pdpb.GetAllStoresResponse{Header: header(), Stores: []*metapb.Store{p.node()}}, nil
}
