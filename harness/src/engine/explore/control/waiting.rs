//! What processes wait for when nobody can go on.

use super::run::Control;
use super::stand::Next;
use crate::books::prediction::Effect;

impl Control {
    /// Who waits for whom, a line each.
    pub(super) fn who_waits_for_whom(&self) -> Vec<String> {
        let mut chain = Vec::new();
        for (process, stand) in self.stands.iter().enumerate().filter(|(_, stand)| stand.is_live()) {
            let Next::Call(call) = &stand.next else { continue };
            let label = stand.step.as_ref().map_or("", |step| &step.label);
            let why = match &call.prediction.effect {
                Effect::Take(wanted, _) => {
                    let holders: Vec<String> =
                        self.locks.in_the_way(wanted).map(|held| format!("p{}", held.process + 1)).collect();
                    format!("waits at {label}, held by {}", holders.join(" and "))
                }
                _ => format!(
                    "waits at {label} for a change to what it looked at, and no process is left to make one"
                ),
            };
            chain.push(format!("p{} {why}", process + 1));
        }
        chain
    }
}
