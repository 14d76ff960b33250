//! Nodes that are looked at by several checks: the driver's part.

use super::{Driver, NodeSetup};
use crate::engine::{NodeRef, Time};
use crate::io::link::Link;
use crate::io::poller::Ready;
use crate::io::router_node::{Lane, PlannedCheck, RouterContext, RouterNode, Todo};

impl Driver {
    /// A link in a free place, or in a new one. Events and answers of the resolver may still be on their way to an index: it
    /// is never another link's.
    pub(super) fn add_link(&mut self, setup: NodeSetup) -> usize {
        match self.free.pop().and_then(|index| Some((index, self.links.get_mut(index)?))) {
            Some((index, link)) => {
                link.replaced_by(setup);
                index
            }
            None => {
                let index = self.links.len();
                self.links.push(Link::new(index as u32, setup));
                index
            }
        }
    }

    /// Takes in the nodes that are looked at by several checks, with a link for each port.
    pub(super) fn add_routers(&mut self, setups: Vec<NodeSetup>) {
        let serial = self.routers.iter().map(RouterNode::serial).max().unwrap_or(0).max(self.router_serial);
        self.router_serial = serial;
        self.routers.clear();
        for (index, setup) in setups.into_iter().enumerate() {
            let Some(router) = setup.router.clone() else { continue };
            let ports = router.checks.iter().filter_map(|check| match check {
                PlannedCheck::Port(port, what) => Some((*port, *what)),
                _ => None,
            });
            let lanes: Vec<NodeSetup> = ports
                .enumerate()
                .map(|(check, (port, what))| NodeSetup {
                    name: setup.name.as_ref().map(|(host, _)| (host.clone(), port)),
                    book: setup.book.at_port(port),
                    router: None,
                    lane: Some(Lane { check, what }),
                    ..setup.clone()
                })
                .collect();
            let links: Vec<usize> = lanes.into_iter().map(|lane| self.add_link(lane)).collect();
            let place = (setup.node, index as u32, serial);
            self.routers.push(RouterNode::new(place, setup.probe_timeout, router, links));
        }
    }

    /// Starts a probe of a node that is looked at by several checks; whether it is one.
    pub(super) fn begin_router(&mut self, now: Time, node: NodeRef, probe: u64) -> bool {
        let Some(index) = self.routers.iter().position(|router| router.node() == node) else { return false };
        let links: Vec<usize> = self.routers.get(index).map(|r| r.links().collect()).unwrap_or_default();
        for link in links {
            self.resolve_if_due(now, link);
        }
        for checker in self.checkers_of(node) {
            self.resolve_if_due(now, self.links.len() + checker);
        }
        self.with_router(now, index, |router, context| router.begin(context, probe));
        true
    }

    /// Ends of checks go to their nodes.
    pub(super) fn take_ends(&mut self, now: Time) {
        while let Some((link, probe, end)) = self.ends.pop() {
            let Some(index) = self.routers.iter().position(|r| r.links().any(|l| l == link)) else {
                continue;
            };
            self.with_router(now, index, |router, context| router.ended(context, link, probe, end));
        }
    }

    /// Something happened at a process or a program.
    pub(super) fn router_ready(&mut self, now: Time, event: Ready) {
        self.with_router(now, RouterNode::index_of(event.token), |router, context| {
            router.ready(context, event)
        });
    }

    /// Judges the deadlines that have passed.
    pub(super) fn judge_routers(&mut self, now: Time) {
        for index in 0..self.routers.len() {
            if self.routers.get(index).and_then(RouterNode::deadline).is_some_and(|at| at <= now) {
                self.with_router(now, index, RouterNode::timeout);
            }
        }
    }

    /// Closes what is kept for a node that left its pool.
    pub(super) fn forget_router(&mut self, now: Time, node: NodeRef) {
        let Some(index) = self.routers.iter().position(|router| router.node() == node) else { return };
        let Some(router) = self.routers.get_mut(index) else { return };
        router.shut(&mut self.poller);
        let links: Vec<usize> = router.links().collect();
        for link in links {
            self.with_link(now, link, |link, context| link.shut(context));
        }
    }

    /// Ends all checks without an observation. Gives the probes that are still waited for, of nodes that stay, with their
    /// new places. The links are closed by whoever frees them.
    pub(super) fn shut_routers(&mut self, moved: &[(NodeRef, NodeRef)]) -> Vec<(NodeRef, u64)> {
        let mut asked = Vec::new();
        for router in &mut self.routers {
            let is = moved.iter().find(|(was, _)| *was == router.node()).map(|(_, is)| *is);
            let probes = router.shut(&mut self.poller);
            asked.extend(is.into_iter().flat_map(|is| probes.iter().map(move |probe| (is, *probe))));
        }
        self.ends.clear();
        asked
    }

    fn with_router(
        &mut self,
        now: Time,
        index: usize,
        step: impl FnOnce(&mut RouterNode, &mut RouterContext<'_>) -> Todo,
    ) {
        let Some(router) = self.routers.get_mut(index) else { return };
        let mut context = RouterContext {
            poller: &mut self.poller,
            registry: &self.registry,
            inputs: &mut self.inputs,
            now,
        };
        let todo = step(router, &mut context);
        for link in todo.shut {
            self.with_link(now, link, |link, context| link.shut(context));
        }
        for (link, probe) in todo.begin {
            self.with_link(now, link, |link, context| link.begin(context, probe, true));
        }
    }
}
