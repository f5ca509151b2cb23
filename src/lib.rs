pub use agent_lab;
