package provision

func (p *Provisioner) housekeep(template *database) {}
